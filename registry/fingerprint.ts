import type { OnDemandSpec, ServiceSpec } from '../kernel/specs/service-spec.ts'
import type { SourceSpec, ViewSpec } from '../kernel/specs/view-spec.ts'
import { definitionId } from '../kernel/specs/view-spec.ts'
import type { DefinitionKind } from '../migrations/schema.ts'
import { canonicalJson } from './canonical-json.ts'
import type { DefinitionKey, KindList } from './definition.ts'
import { kindLists } from './definition.ts'
import { inputsFirst } from './inputs-first.ts'
import type { DefinitionSet } from './load/definition-set.ts'
import { sha256 } from './sha256.ts'

/** Definitions that refer to nothing outside themselves. */
type SpecLists = { readonly [List in KindList]: readonly Pick<DefinitionSet[List][number], 'spec'>[] }

/** The fingerprint of a definition. */
type FingerprintOf = (kind: DefinitionKind, label: string) => string

/**
 * Fingerprints, Merkle hashes of what decides a value: the semantic fields, the fingerprints of what a definition
 * refers to, and the hash of its code as the running esbuild prints it. The order of columns, of request data and of
 * inputs decides nothing and is left out of it; the order of features is part of it, because a model's tensor follows
 * it. SHA-256, hex.
 */
export function fingerprints(definitions: SpecLists): ReadonlyMap<DefinitionKey, string> {
  const prints = new Map<DefinitionKey, string>()
  const of: FingerprintOf = (kind, label) => prints.get(`${kind} ${label}`) ?? `unknown ${label}`
  for (const { spec } of definitions.sources) prints.set(`source ${spec.name}`, hashed('source', unordered(spec)))
  for (const { spec } of definitions.views) prints.set(`view ${definitionId(spec)}`, viewFingerprint(spec))
  const onDemand = definitions.onDemand.map(({ spec }) => spec)
  for (const spec of inputsFirst(onDemand, definitionId, ({ inputs }) => inputs.flatMap((each) => ('use' in each ? [] : [each.onDemand]))))
    prints.set(`onDemand ${definitionId(spec)}`, onDemandFingerprint(spec, of))
  for (const { spec } of definitions.services) prints.set(`service ${definitionId(spec)}`, serviceFingerprint(spec, of))
  for (const { spec } of definitions.models)
    prints.set(`model ${spec.name}`, hashed('model', { ...spec, output: byName(spec.output), service: of('service', spec.service) }))
  for (const { spec } of definitions.outcomes)
    prints.set(`outcome ${spec.name}`, hashed('outcome', { ...spec, source: unordered(spec.source), model: of('model', spec.model) }))
  for (const kind of ['entity', 'channel', 'monitor', 'experiment', 'batch', 'pipeline', 'training'] as const)
    for (const { spec } of definitions[kindLists[kind]]) prints.set(`${kind} ${spec.name}`, hashed(kind, spec))
  return prints
}

export function viewFingerprint(spec: ViewSpec): string {
  return hashed('view', { ...spec, source: unordered(spec.source), derive: byName(spec.derive) })
}

function onDemandFingerprint(spec: OnDemandSpec, of: FingerprintOf): string {
  const inputs = byName(spec.inputs).map((input) => ({
    name: input.name,
    ...('use' in input ? { key: input.use.key, view: of('view', input.use.view) } : { onDemand: of('onDemand', input.onDemand) }),
    ...(input.features === undefined ? {} : { features: input.features }),
  }))
  return hashed('onDemand', { ...spec, request: byName(spec.request), inputs })
}

function serviceFingerprint(spec: ServiceSpec, of: FingerprintOf): string {
  const members = spec.members.map((member) =>
    member.kind === 'view'
      ? { alias: member.use.alias, key: member.use.key, view: of('view', member.use.view), features: member.features }
      : { onDemand: of('onDemand', member.view), features: member.features },
  )
  return hashed('service', { ...spec, members })
}

function unordered(spec: SourceSpec): SourceSpec {
  return { ...spec, columns: byName(spec.columns), key: spec.key.toSorted((a, b) => compare(a.part, b.part)) }
}

function byName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return items.toSorted((a, b) => compare(a.name, b.name))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function hashed(kind: string, content: object): string {
  return sha256(canonicalJson({ kind, content }))
}
