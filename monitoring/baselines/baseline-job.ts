import { z } from 'zod'
import { messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/database.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import { createOutputBaseline } from './create-baseline.ts'

/** The kind of jobs that make the baselines which model versions lack. */
export const baselineKind = 'baselines'

export interface BaselineJobDeps {
  readonly db: Database
  readonly catalog: () => Promise<Catalog>
  /** Called for a version whose baseline cannot be made. */
  readonly onFailure: (version: string, error: string) => void
}

/** Every ten minutes one worker makes the baselines of outputs that are not there yet. */
export function baselines(deps: BaselineJobDeps): JobKind {
  return {
    name: baselineKind,
    spec: z.object({}),
    retries: 2,
    backoffSeconds: { from: 10, to: 60 },
    keepDays: 1,
    schedules: () => Promise.resolve([{ key: 'lacking', subject: 'baselines', cron: '*/10 * * * *', spec: {} }]),
    run: async (_job, _chunk, { signal }) => ({ made: await makeLackingBaselines(deps, signal) }),
  }
}

/** @returns how many were made */
export async function makeLackingBaselines({ db, catalog, onFailure }: BaselineJobDeps, signal?: AbortSignal): Promise<number> {
  const lacking = await db.query<{ model: string; version: number }>(
    `SELECT v.model, v.version FROM lockstep.model_versions v JOIN lockstep.baselines d ON d.dataset = v.dataset
     WHERE NOT EXISTS (SELECT FROM lockstep.baselines b WHERE b.model = v.model AND b.version = v.version) ORDER BY v.model, v.version`,
  )
  if (lacking.length === 0) return 0
  const { models } = await catalog()
  let made = 0
  for (const { model, version } of lacking) {
    signal?.throwIfAborted()
    const pushed = models.get(model)?.versions.find((each) => each.version === version)
    if (pushed === undefined) continue
    try {
      if (await createOutputBaseline(db, await catalog(), pushed)) made++
    } catch (error) {
      // a version that cannot run must not keep the others from theirs
      onFailure(`${model}@${version}`, messageOf(error))
    }
  }
  return made
}
