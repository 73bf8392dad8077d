import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { measuresOf } from '../../kernel/specs/experiment-spec.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { championAlias } from '../models/model-aliases.ts'
import { pickVersion } from '../models/pick-version.ts'
import { outcomeReaders } from '../changes/source-readers.ts'
import { requireServable } from '../models/require-servable.ts'
import { differingField, entityFields, isUnitType } from '../rollouts/check-candidate.ts'
import { checkSource } from '../changes/source-check.ts'
import { describeSource } from '../changes/source-table.ts'
import type { ExperimentRun } from './experiment.ts'
import { freeParts, overlaps, partText } from './layer-parts.ts'

/** The version that each variant will serve. */
export type VariantVersions = Readonly<Record<string, number>>

/**
 * Checks that all variants of an experiment can answer the same requests, and that nothing else that runs is in its
 * way.
 *
 * @throws LockstepError `IN_USE` where it runs already, or overlaps with another one; `NOT_PROMOTABLE` where a variant
 *   cannot be served; `UNKNOWN_DEFINITION`; `INVALID_REQUEST` where requests lack a field
 */
export function checkVariants(catalog: Catalog, spec: ExperimentSpec): VariantVersions {
  const model = catalog.model(spec.model)
  checkFree(catalog, spec)
  const versions = Object.fromEntries(spec.variants.map(({ name, serves }) => [name, versionOf(model, serves)]))
  const services = spec.variants.map(({ name }) => {
    const version = versions[name] as number
    return { name, version, service: requireServable(catalog, model, version, `the experiment "${spec.name}" was not started`).service }
  })
  const [control, ...others] = services
  if (control === undefined) throw new LockstepError('INTERNAL', `The experiment "${spec.name}" has no variant.`)
  for (const { name, version, service } of others) {
    const differs = differingField(service, control.service)
    if (differs === null) continue
    throw new LockstepError(
      'NOT_PROMOTABLE',
      `The variant "${name}" of the experiment "${spec.name}" takes other entities than "${control.name}": ${differs.how}, so no request fits both. Use versions that take the same entities.`,
      { details: { experiment: spec.name, variant: name, version, field: differs.field } },
    )
  }
  checkFields(spec, control.service)
  for (const { use, features } of [...spec.covariates, ...spec.slices]) {
    const view = catalog.view(use.view)
    const missing = features.find((feature) => !view.spec.features.some(({ name }) => name === feature))
    if (missing !== undefined)
      throw new LockstepError(
        'UNKNOWN_FEATURE',
        `The view "${use.view}" has no feature "${missing}", which the experiment "${spec.name}" uses.`,
      )
  }
  return versions
}

/** The version of a variant at the start. A pin does not count: it ends. */
function versionOf(model: CatalogModel, serves: number | string): number {
  return serves === championAlias ? pickVersion({ ...model, pin: null }).version : pickVersion(model, serves).version
}

function checkFields(spec: ExperimentSpec, service: ServicePlan): void {
  const fields = entityFields(service)
  const views = [...spec.covariates, ...spec.slices].flatMap(({ use }) => use.key)
  const keys = spec.metrics.flatMap(measuresOf).flatMap(({ of }) => (of.kind === 'source' ? of.key.map(({ name }) => name) : []))
  for (const name of [...(spec.unit === 'request-id' ? [] : [spec.unit]), ...keys, ...views]) {
    const field = fields.find((each) => each.name === name)
    if (field !== undefined && (name !== spec.unit || isUnitType(field.type))) continue
    throw new LockstepError(
      'INVALID_REQUEST',
      `The experiment "${spec.name}" needs the field "${name}", which requests for "${service.id}" lack. They have ${fields.map((each) => `"${each.name}"`).join(', ')}.`,
      { details: { experiment: spec.name, field: name } },
    )
  }
}

/** Two experiments on one layer, or on one model, need parts of one layer that do not overlap. */
function checkFree(catalog: Catalog, spec: ExperimentSpec): void {
  const running = [...catalog.models.values()].flatMap(({ experiments }) => experiments)
  const own = running.find(({ name }) => name === spec.name)
  if (own !== undefined)
    throw inUse(spec, `runs already, since ${own.startedAt.toISOString()}. Stop it first: lockstep experiment stop ${spec.name}`)
  const sameLayer = running.filter((run) => spec.layer !== null && run.spec.layer?.name === spec.layer.name)
  const sameModel = running.find((run) => run.model === spec.model && !sameLayer.includes(run))
  if (sameModel !== undefined) {
    throw inUse(
      spec,
      `cannot start: "${sameModel.name}" runs on the model "${spec.model}" as well, and a request gets one version only. Stop it, or give both disjoint parts of one layer, as in layer: { name: '${sameModel.spec.layer?.name ?? spec.model}', from: 0, to: 0.5 }`,
    )
  }
  for (const run of sameLayer) {
    const [part, taken] = [spec.layer, run.spec.layer]
    if (part === null || taken === null) continue
    if (run.spec.unit !== spec.unit)
      throw inUse(
        spec,
        `cannot start: "${run.name}" has the unit "${run.spec.unit}" on the layer "${part.name}", and parts of a layer only exclude each other for one unit. Use another layer`,
      )
    if (overlaps(part, taken)) throw inUse(spec, `cannot start: ${overlapText(part, run, sameLayer)}`)
  }
}

function overlapText(part: NonNullable<ExperimentSpec['layer']>, run: ExperimentRun, sameLayer: readonly ExperimentRun[]): string {
  const free = freeParts(sameLayer.flatMap(({ spec }) => spec.layer ?? []))
  const advice =
    free.length === 0
      ? 'Nothing of the layer is free, so stop an experiment or use another layer'
      : `Free: ${free.map(partText).join(', ')}`
  return `its part of the layer "${part.name}", ${partText(part)}, overlaps with that of "${run.name}", ${partText(run.spec.layer ?? part)}. ${advice}`
}

function inUse({ name }: ExperimentSpec, why: string): LockstepError {
  return new LockstepError('IN_USE', `The experiment "${name}" ${why}.`, { details: { experiment: name } })
}

/**
 * Checks that the rows of all metrics can be read.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, and what is wrong with a source
 */
export async function checkMetricSources(handle: Kysely<LockstepTables>, catalog: Catalog, spec: ExperimentSpec): Promise<void> {
  const readers = spec.metrics.flatMap(measuresOf).flatMap(({ of }): { source: SourceSpec; entities: EntitySpec[] }[] => {
    if (of.kind === 'source') return [{ source: of.source, entities: [{ name: `experiment ${spec.name}`, key: of.key }] }]
    const { spec: outcome } = catalog.outcome(of.outcome)
    return [{ source: outcome.source, entities: outcomeReaders(outcome).map(({ entity }) => entity) }]
  })
  for (const { source, entities } of readers) {
    if (source.known === null) {
      throw new LockstepError(
        'INVALID_REQUEST',
        `The source "${source.name}", which the experiment "${spec.name}" reads, does not say when its rows become known. Add known: 'a column with that time' to the source.`,
        { details: { experiment: spec.name, source: source.name } },
      )
    }
    const table = await describeSource(handle, source)
    const [problem] = checkSource(source, entities, table)
    if (problem !== undefined) throw problem
    if (!table.exists) {
      throw new LockstepError(
        'SOURCE_MISSING',
        `The source "${source.name}", which the experiment "${spec.name}" reads, has no table yet. Apply the definitions file again.`,
        { details: { experiment: spec.name, source: source.name } },
      )
    }
  }
}
