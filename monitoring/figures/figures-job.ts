import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { judgingOutcomes } from '../../registry/judging-outcomes.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { driftJson } from '../drift/drift-json.ts'
import { driftReport } from '../drift/drift-report.ts'
import { qualityReport } from '../quality/quality-report.ts'
import { storeFigures } from './stored-figures.ts'

const figuresJob = z.object({ model: z.string() })

/** Quality is of the predictions of the last week: outcomes come late. Drift is of the last day. */
export const qualityDays = 7
const driftDays = 1
/** A worker has other work as well. */
const limits = { total: 200_000, group: 20_000, estimate: 4000, curve: 2000 }

export interface FiguresDeps {
  readonly db: Database
  readonly catalog: () => Promise<Catalog>
  /** Epoch microseconds. */
  readonly clock: () => number
}

/** Stores the figures of each model once an hour, so that a page shows them without computing them. */
export function figuresJobs({ db, catalog, clock }: FiguresDeps): JobKind<z.output<typeof figuresJob>> {
  return {
    name: 'figures' satisfies JobKindName,
    spec: figuresJob,
    retries: 3,
    backoffSeconds: { from: 10, to: 300 },
    leaseSeconds: 60,
    keepDays: 2,
    async schedules() {
      const { models } = await catalog()
      const pushed = [...models.values()].filter(({ versions }) => versions.length > 0)
      return pushed.map(({ name }) => ({ key: name, subject: name, cron: '17 * * * *', spec: { model: name } }))
    },
    async run({ spec, moment }, _chunk, { signal }) {
      const known = await catalog()
      const model = known.models.get(spec.model)
      if (model === undefined || model.versions.length === 0) return null
      const asOf = moment ?? clock()
      return { reports: await storeModelFigures(db, known, model, asOf, signal) }
    },
    describe: ({ subject }) => `the figures of the model "${subject}"`,
  }
}

/**
 * Stores the quality of the version that answers, and of a candidate, and how far their features drifted from training.
 *
 * @param asOf epoch microseconds
 * @returns how many reports there are: a model without outcomes has no quality, a version without a baseline no drift
 */
export async function storeModelFigures(
  db: Database,
  catalog: Catalog,
  model: CatalogModel,
  asOf: number,
  signal?: AbortSignal,
): Promise<number> {
  const versions = new Set([pickVersion(model).version, ...(model.rollout === null ? [] : [model.rollout.version])])
  let stored = 0
  for (const version of versions) stored += await storeVersionFigures(db, catalog, { model: model.name, version, asOf }, signal)
  return stored
}

/** As `storeModelFigures`, for one version. */
export async function storeVersionFigures(
  db: Database,
  catalog: Catalog,
  { model, version, asOf }: { readonly model: string; readonly version: number; /** Epoch microseconds. */ readonly asOf: number },
  signal?: AbortSignal,
): Promise<number> {
  const outcome = judgedOutcome(catalog, model)
  const of = { model, version, asOf: new Date(Math.floor(asOf / 1000)) }
  const quality = await unlessMissing(() => {
    const window = { from: asOf - qualityDays * dayMicros, to: asOf, asOf }
    return qualityReport(db, catalog, { model, outcome, versions: [version], ...window, by: [], limits, signal })
  })
  if (quality !== null) await storeFigures(db, 'quality', { ...of, report: quality })
  const drift = await unlessMissing(() => {
    const window = { from: asOf - driftDays * dayMicros, to: asOf }
    return driftReport({ db, catalog }, { model, version, window, baseline: { kind: 'training' } })
  })
  if (drift !== null) await storeFigures(db, 'drift', { ...of, report: driftJson(drift) })
  return Number(quality !== null) + Number(drift !== null)
}

/** The first outcome of yes or no, else the first one: yes or no judges a probability, and has a calibration. */
export function judgedOutcome(catalog: Catalog, model: string): string | undefined {
  const own = judgingOutcomes(catalog, model)
  return (own.find(({ spec }) => spec.type.kind === 'bool') ?? own[0])?.spec.name
}

/** null: the model has no outcome that can be read, or the version no baseline. */
async function unlessMissing<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof LockstepError && ['UNKNOWN_DEFINITION', 'INVALID_REQUEST', 'BASELINE_MISSING'].includes(error.code)) return null
    throw error
  }
}
