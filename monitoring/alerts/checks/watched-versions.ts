import { LockstepError } from '../../../kernel/errors.ts'
import { bindVersion } from '../../../registry/models/bind-version.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { pickVersion } from '../../../registry/models/pick-version.ts'
import { outputColumn } from '../../baselines/baseline.ts'
import type { CheckResult } from '../check-kind.ts'

/** A version of a model that serves, with the columns that its rollups have. */
export interface WatchedVersion {
  readonly model: string
  readonly version: number
  readonly features: readonly string[]
  /** `output:NAME` */
  readonly outputs: readonly string[]
  /** The common cause of columns: their source; the view of on-demand features; the model of outputs. */
  groupOf(column: string): string
}

/** The version that answers by default, and the candidate of a running rollout. Without a pushed version: none. */
export function watchedVersions(catalog: Catalog, name: string): WatchedVersion[] {
  const model = catalog.model(name)
  if (model.versions.length === 0) return []
  const served = pickVersion(model)
  const candidate = model.versions.find(({ version }) => version === model.rollout?.version)
  const versions = candidate === undefined || candidate === served ? [served] : [served, candidate]
  return versions.map((pushed) => {
    const { service } = bindVersion(catalog, model.spec, pushed)
    return {
      model: name,
      version: pushed.version,
      features: service.features.map((feature) => feature.name),
      outputs: model.spec.output.map((output) => outputColumn(output.name)),
      groupOf(column) {
        const feature = service.features.find((each) => each.name === column)
        if (feature === undefined) return name
        return feature.use === null ? feature.view : (service.uses[feature.use]?.plan.spec.source.name ?? feature.view)
      },
    }
  })
}

/** The columns that a check names. @param asked absent: all */
export function askedColumns(columns: readonly string[], asked: readonly string[] | undefined): readonly string[] {
  return asked === undefined ? columns : columns.filter((column) => asked.includes(column.replace(/^output:/, '')))
}

/** A model that cannot be watched yet. */
export function nothingServed(model: string): CheckResult {
  const cause = `The model "${model}" has no version yet; push one with "lockstep model push ${model} FILE".`
  return { subject: model, ...unknownBecause(cause) }
}

/** The result of a subject about which nothing is known. */
export function unknownBecause(cause: string): Omit<CheckResult, 'subject'> {
  return { state: 'unknown', value: null, threshold: null, n: null, evidence: null, cause }
}

/** The message of an error that says that there is nothing to compare with. @throws all other errors */
export function reasonOf(error: unknown): string {
  if (error instanceof LockstepError && ['BASELINE_MISSING', 'UNKNOWN_DEFINITION'].includes(error.code)) return error.message
  throw error
}
