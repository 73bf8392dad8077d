import type { ExperimentSpec } from '../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../kernel/specs/outcome-spec.ts'
import type { ModelSpec, OnDemandSpec, ServiceSpec } from '../kernel/specs/service-spec.ts'
import type { DefinitionId, EntitySpec, SourceSpec, ViewSpec } from '../kernel/specs/view-spec.ts'
import { definitionId } from '../kernel/specs/view-spec.ts'
import type { ChannelSpec, MonitorSpec } from './monitor-spec.ts'
import type { PipelineSpec } from './pipeline-spec.ts'
import type { ScheduledBatchSpec } from './scheduled-batch-spec.ts'
import type { TrainingSpec } from './trainings/training-spec.ts'
import { canonicalJson } from './canonical-json.ts'
import { inputsFirst } from './inputs-first.ts'
import { sha256 } from './sha256.ts'

/**
 * Fingerprints, Merkle hashes of what decides a value: the semantic fields, the fingerprints of what a definition
 * refers to, and the identity of its code (the hash of the code as the running esbuild prints it). The order of
 * columns, of request data and of inputs decides nothing and is left out of it; the order of features is part of it,
 * because a model's tensor follows it. SHA-256, hex.
 */
function entityFingerprint(spec: EntitySpec): string {
  return hashed('entity', spec)
}

function sourceFingerprint(spec: SourceSpec): string {
  return hashed('source', unordered(spec))
}

export function viewFingerprint(spec: ViewSpec, code: string | null): string {
  return hashed('view', { ...spec, source: unordered(spec.source), derive: byName(spec.derive), code })
}

/** @param of the fingerprint of a feature view or of an on-demand view */
function onDemandFingerprint(spec: OnDemandSpec, code: string, of: (kind: 'view' | 'onDemand', view: DefinitionId) => string): string {
  const inputs = byName(spec.inputs).map((input) => ({
    name: input.name,
    ...('use' in input ? { key: input.use.key, view: of('view', input.use.view) } : { onDemand: of('onDemand', input.onDemand) }),
    ...(input.features === undefined ? {} : { features: input.features }),
  }))
  return hashed('onDemand', { ...spec, request: byName(spec.request), inputs, code })
}

/** @param of the fingerprint of a feature view or of an on-demand view */
function serviceFingerprint(spec: ServiceSpec, of: (kind: 'view' | 'onDemand', view: DefinitionId) => string): string {
  const members = spec.members.map((member) =>
    member.kind === 'view'
      ? { alias: member.use.alias, key: member.use.key, view: of('view', member.use.view), features: member.features }
      : { onDemand: of('onDemand', member.view), features: member.features },
  )
  return hashed('service', { ...spec, members })
}

/** @param service the fingerprint of its service */
function modelFingerprint(spec: ModelSpec, service: string): string {
  return hashed('model', { ...spec, output: byName(spec.output), service })
}

/** @param model the fingerprint of its model */
function outcomeFingerprint(spec: OutcomeSpec, code: string | null, model: string): string {
  return hashed('outcome', { ...spec, source: unordered(spec.source), code, model })
}

/** Specs that refer to nothing outside themselves. */
export interface ClosedSpecs {
  readonly entities: readonly EntitySpec[]
  readonly sources: readonly SourceSpec[]
  readonly views: readonly ViewSpec[]
  readonly onDemand: readonly OnDemandSpec[]
  readonly services: readonly ServiceSpec[]
  readonly models: readonly ModelSpec[]
  readonly outcomes: readonly OutcomeSpec[]
  readonly channels: readonly ChannelSpec[]
  readonly monitors: readonly MonitorSpec[]
  readonly experiments: readonly ExperimentSpec[]
  readonly batches: readonly ScheduledBatchSpec[]
  readonly pipelines: readonly PipelineSpec[]
  readonly trainings: readonly TrainingSpec[]
}

/** By name, or by id for views and services. */
export type Fingerprints = { readonly [List in keyof ClosedSpecs]: ReadonlyMap<string, string> }

/**
 * The fingerprints of a set of specs.
 *
 * @param identity the identity of each code, by the hash that specs name it by
 */
export function fingerprints(specs: ClosedSpecs, identity: ReadonlyMap<string, string>): Fingerprints {
  const known = <K>(map: ReadonlyMap<K, string>, key: K): string => map.get(key) ?? `unknown ${String(key)}`
  const views = new Map(specs.views.map((s) => [definitionId(s), viewFingerprint(s, s.code === null ? null : known(identity, s.code))]))
  const onDemand = new Map<DefinitionId, string>()
  for (const s of inputsFirst(specs.onDemand, definitionId, (spec) => spec.inputs.flatMap((i) => ('use' in i ? [] : [i.onDemand])))) {
    const print = onDemandFingerprint(s, known(identity, s.code), (kind, view) => known(kind === 'view' ? views : onDemand, view))
    onDemand.set(definitionId(s), print)
  }
  const services = new Map(
    specs.services.map((s) => [definitionId(s), serviceFingerprint(s, (kind, view) => known(kind === 'view' ? views : onDemand, view))]),
  )
  const models = new Map(specs.models.map((s) => [s.name, modelFingerprint(s, known(services, s.service))]))
  return {
    entities: new Map(specs.entities.map((s) => [s.name, entityFingerprint(s)])),
    sources: new Map(specs.sources.map((s) => [s.name, sourceFingerprint(s)])),
    views,
    onDemand,
    services,
    models,
    outcomes: new Map(
      specs.outcomes.map((s) => [s.name, outcomeFingerprint(s, s.code === null ? null : known(identity, s.code), known(models, s.model))]),
    ),
    channels: new Map(specs.channels.map((s) => [s.name, hashed('channel', s)])),
    monitors: new Map(specs.monitors.map((s) => [s.name, hashed('monitor', s)])),
    experiments: new Map(specs.experiments.map((s) => [s.name, hashed('experiment', s)])),
    batches: new Map(specs.batches.map((s) => [s.name, hashed('batch', s)])),
    pipelines: new Map(specs.pipelines.map((s) => [s.name, hashed('pipeline', s)])),
    trainings: new Map(specs.trainings.map((s) => [s.name, hashed('training', s)])),
  }
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
