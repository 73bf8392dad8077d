import { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { createOutputBaseline, createServedBaseline } from './create-baseline.ts'
import { createTrainingBaseline } from './create-training-baseline.ts'
import type { VersionTools } from './run-version.ts'
import { isModelFailure } from './run-version.ts'

export interface BaselineJobDeps {
  readonly db: Database
  readonly catalog: () => Promise<Catalog>
  readonly log: Logger
  /** Called for a training set or version whose baseline cannot be made. */
  readonly onFailure: (what: string, error: string, cause: unknown) => void
}

/**
 * Every ten minutes one worker makes the baselines that are not there yet. If a model hangs or ends its process, the
 * job fails after it has made the others, because requests may do the same to servers. A model that only refuses rows
 * is logged.
 */
export function baselines(deps: BaselineJobDeps): JobKind {
  // what fails once fails again, until the process restarts or somebody calls "baseline create"
  const failed = new Set<string>()
  async function run(signal: AbortSignal): Promise<{ readonly made: number }> {
    const failures: { readonly what: string; readonly cause: LockstepError }[] = []
    const onFailure: BaselineJobDeps['onFailure'] = (what, error, cause) => {
      deps.onFailure(what, error, cause)
      failed.add(what)
      if (isModelFailure(cause) && cause.code !== 'MODEL_FAILED') failures.push({ what, cause })
    }
    const made = await makeLackingBaselines({ ...deps, onFailure }, { signal, except: failed })
    const [first] = failures
    if (first === undefined) return { made }
    const { what, cause } = first
    throw new LockstepError(cause.code, `${cause.message} "lockstep baseline create ${what}" tries it again.`, {
      details: cause.details,
      cause,
    })
  }
  return {
    name: 'baselines' satisfies JobKindName,
    spec: z.object({}),
    retries: 2,
    backoffSeconds: { from: 10, to: 60 },
    keepDays: 1,
    schedules: () => Promise.resolve([{ key: 'lacking', subject: 'baselines', cron: '*/10 * * * *', spec: {} }]),
    run: async (_job, _chunk, { signal }) => await run(signal),
  }
}

/**
 * Creates the missing baselines of model versions: first of their training sets, then of their outputs, then of the
 * first day that versions without a training set served.
 *
 * @param options.except training sets and versions that are left out: `3f0c2a…`, `delay@3`
 * @returns how many were made
 */
export async function makeLackingBaselines(
  { db, catalog, log, onFailure }: BaselineJobDeps,
  { signal, except }: { readonly signal?: AbortSignal; readonly except?: ReadonlySet<string> } = {},
): Promise<number> {
  let made = 0
  async function attempt(what: string, make: () => Promise<boolean>): Promise<void> {
    signal?.throwIfAborted()
    if (except?.has(what) === true) return
    try {
      if (await make()) made++
    } catch (error) {
      signal?.throwIfAborted()
      if (isTemporary(error)) throw error
      // one that cannot be made must not keep the others from theirs
      onFailure(what, messageOf(error), error)
    }
  }
  const tools = async (): Promise<VersionTools> => ({ db, catalog: await catalog(), log, signal })
  const versionOf = async (model: string, version: number) =>
    (await catalog()).models.get(model)?.versions.find((each) => each.version === version)

  for (const { id } of await readLackingDatasets(db)) {
    await attempt(id, async () => {
      const dataset = await findDataset(db, id)
      await createTrainingBaseline(db, (await catalog()).service(dataset.service), dataset, signal === undefined ? {} : { signal })
      return true
    })
  }
  for (const { model, version } of await readLackingOutputs(db)) {
    await attempt(`${model}@${version}`, async () => {
      const pushed = await versionOf(model, version)
      return pushed !== undefined && (await createOutputBaseline(await tools(), pushed))
    })
  }
  for (const { model, version, from } of await readServedWithout(db)) {
    await attempt(`${model}@${version}`, async () => {
      const pushed = await versionOf(model, version)
      const first = Math.floor(from)
      return pushed !== undefined && (await createServedBaseline(await tools(), pushed, { from: first, to: first + dayMicros })) > 0
    })
  }
  return made
}

/** Training sets that versions name and that have no baseline yet, such as those written in parts. */
async function readLackingDatasets(db: Database): Promise<{ readonly id: string }[]> {
  return await db.query(
    `SELECT d.id FROM lockstep.datasets d WHERE NOT EXISTS (SELECT FROM lockstep.baselines b WHERE b.dataset = d.id)
     AND EXISTS (SELECT FROM lockstep.model_versions v WHERE v.dataset = d.id) ORDER BY d.created_at DESC`,
  )
}

async function readLackingOutputs(db: Database): Promise<{ readonly model: string; readonly version: number }[]> {
  return await db.query(
    `SELECT v.model, v.version FROM lockstep.model_versions v JOIN lockstep.baselines d ON d.dataset = v.dataset
     WHERE NOT EXISTS (SELECT FROM lockstep.baselines b WHERE b.model = v.model AND b.version = v.version) ORDER BY v.model, v.version`,
  )
}

/**
 * Versions without any baseline whose first day of service is over, and not so long ago that the prediction log has
 * forgotten it.
 */
async function readServedWithout(db: Database): Promise<{ readonly model: string; readonly version: number; readonly from: number }[]> {
  return await db.query(
    `SELECT v.model, v.version, (extract(epoch FROM min(r.at)) * 1000000)::float8 AS "from"
     FROM lockstep.model_versions v JOIN lockstep.merged_rollups r ON r.step = 'hour' AND r.model = v.model AND r.version = v.version
     WHERE NOT EXISTS (SELECT FROM lockstep.baselines b WHERE b.model = v.model AND b.version = v.version OR b.dataset = v.dataset)
     GROUP BY v.model, v.version
     HAVING min(r.at) BETWEEN clock_timestamp() - interval '8 days' AND clock_timestamp() - interval '1 day' ORDER BY v.model, v.version`,
  )
}
