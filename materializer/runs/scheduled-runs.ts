import { z } from 'zod'
import { runPoint } from '../../kernel/due-moment.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMicros } from '../../runtime/postgres/database-clock.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../runtime/jobs/submit-job.ts'
import type { Logger } from '../../runtime/log.ts'
import type { MaterializeResult } from './materialize.ts'
import { materializeView } from './materialize.ts'
import { recordRun, runSpan } from './record-run.ts'

/** The kind of jobs that runs of schedules are. */
export const scheduledRunKind = 'scheduled-run' satisfies JobKindName

const specSchema = z.object({ view: z.string(), fingerprint: z.string() })
type ScheduledRunSpec = z.infer<typeof specSchema>

/** Every failure is retried: somebody may correct its cause in the database meanwhile. */
const kind = {
  name: scheduledRunKind,
  spec: specSchema,
  retries: 4,
  backoffSeconds: { from: 5, to: 300 },
  keepDays: 1,
  urgent: true, // a run has to end within the delay of its view
  isFinal: () => false,
} as const

export interface ScheduleTools {
  readonly db: Database
  readonly store: OnlineStore
  /** Epoch microseconds. */
  readonly clock: () => number
  /** How others call this process: `host:pid`. */
  readonly worker: string
  readonly log?: Logger
}

/**
 * Submits the run that a view's schedule wants by now, once, whichever worker does so. While the run of an earlier
 * moment still waits for its next attempt, none is added, because that run folds all that has arrived. Of missed runs
 * only the newest is submitted.
 *
 * @returns whether there was nothing to ask for
 */
export async function askForScheduledRun({ db, store, clock, worker }: ScheduleTools, plan: ViewPlan): Promise<boolean> {
  const { availability } = plan.spec
  if (availability.kind !== 'schedule') return true
  const moment = runPoint(availability, await sharedNowMicros(db, clock()))
  const scope = await store.identity()
  const spec = { view: plan.id, fingerprint: plan.fingerprint }
  if (moment < 0 || (await isDone(db, scope, spec, moment))) return true
  const submission = { spec, subject: plan.id, scope, key: `${plan.id} ${plan.fingerprint}`, moment, worker }
  await submitJob(db, kind, submission)
  return false
}

/**
 * The runs of scheduled views as jobs: one of each view at a time, over all workers.
 *
 * @param find gives the view of that id, or throws why there is none
 * @param replayMs `FailoverOptions.replayMs`
 */
export function scheduledRuns(
  { db, store, clock, log }: ScheduleTools,
  find: (view: string) => Promise<ViewPlan>,
  onRun: (plan: ViewPlan, result: MaterializeResult) => void,
  replayMs?: number,
): JobKind<ScheduledRunSpec> {
  return {
    ...kind,
    scope: () => store.identity(),
    async run({ spec, moment }, _chunk, { signal, span }) {
      if (await isDone(db, await store.identity(), spec, moment ?? 0)) return null
      const plan = await find(spec.view)
      // it was rebuilt, and has asked for runs of its own
      if (plan.fingerprint !== spec.fingerprint || plan.spec.availability.kind !== 'schedule') return null
      // the moment has passed by the clock of the database; a run that began before it would not stand for it
      const now = () => Math.max(clock(), moment ?? 0)
      const run = () => materializeView(db, store, plan, { now, signal, replayMs, log })
      const result = await recordRun(span?.child(runSpan), plan, run)
      onRun(plan, result)
      return { rows: result.rows, entities: result.entities }
    },
    describe: ({ spec, moment }) => `the run of ${spec.view} of ${formatTimestamp(moment ?? 0)}`,
  }
}

export interface GivenUpRun {
  readonly view: string
  /** When it was to begin, epoch microseconds. */
  readonly moment: number
  readonly why: string
  readonly attempts: number
  readonly at: Date
}

/** Runs that were given up, and that no later one has made up for. */
export async function givenUpRuns(db: Database, store: string): Promise<GivenUpRun[]> {
  const runs: GivenUpRun[] = []
  for (const { spec, moment, error, finishedAt } of await readJobs(db, { kind: scheduledRunKind, scope: store, state: 'failed' })) {
    const run = specSchema.parse(spec)
    if (await isDone(db, store, run, moment ?? 0)) continue
    const { reason, attempts } = z.object({ reason: z.string(), attempts: z.number() }).parse(error?.details)
    runs.push({ view: run.view, moment: moment ?? 0, why: reason, attempts, at: finishedAt ?? new Date(0) })
  }
  return runs
}

/** Whether a run that began at that moment, or a later one, has finished. */
async function isDone(db: Database, store: string, { view, fingerprint }: ScheduledRunSpec, moment: number): Promise<boolean> {
  const found = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select('id')
    .where('view', '=', view)
    .where('store', '=', store)
    .where('fingerprint', '=', fingerprint)
    .where('finished_at', 'is not', null)
    .where('started_at', '>=', new Date(Math.floor(moment / 1000)))
    .limit(1)
    .executeTakeFirst()
  return found !== undefined
}
