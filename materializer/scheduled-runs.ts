import { runPoint } from '../kernel/due-moment.ts'
import { formatTimestamp } from '../kernel/time.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import type { JobQueue } from '../runtime/job-queue.ts'
import { stableUuid } from '../runtime/stable-id.ts'
import type { JobKind } from '../runtime/work-on-jobs.ts'
import type { MaterializeResult } from './materialize.ts'
import { materializeView } from './materialize.ts'

const prefix = 'scheduled.'
const options = { heartbeatSeconds: 30, retries: 4, backoffSeconds: { from: 5, to: 300 }, oneByKey: true } as const

export interface ScheduleTools {
  readonly db: Database
  readonly store: OnlineStore
  readonly jobs: JobQueue
  /** Epoch microseconds. */
  readonly clock: () => number
}

interface ScheduledRun {
  readonly view: string
  readonly fingerprint: string
  /** When it is to begin (`runPoint`), epoch microseconds. */
  readonly moment: number
}

/**
 * Asks for the run that a view's schedule wants by now, once, whoever asks: its job is named by its moment. Of runs that were missed only the newest is asked for, since it
 * folds all that has arrived.
 *
 * @returns whether there was nothing to ask for
 */
export async function askForScheduledRun({ db, store, jobs, clock }: ScheduleTools, plan: ViewPlan): Promise<boolean> {
  const { availability } = plan.spec
  if (availability.kind !== 'schedule') return true
  const moment = runPoint(availability, clock())
  const identity = await store.identity()
  const run: ScheduledRun = { view: plan.id, fingerprint: plan.fingerprint, moment }
  if (moment < 0 || (await isDone(db, identity, run))) return true
  const queue = `${prefix}${identity}`
  await jobs.create(queue, options)
  await jobs.add(queue, [{ data: run, key: plan.id, id: stableUuid(`${queue} ${plan.id} ${plan.fingerprint} ${moment}`) }])
  return false
}

/**
 * The runs of scheduled views as jobs: one of each view at a time, over all workers. One that fails is tried again, later each time, and at last becomes a dead letter.
 *
 * @param find gives the view of that id, or throws why there is none
 * @param replayMs `FailoverOptions.replayMs`
 */
export function scheduledJobs(
  { db, store, clock }: ScheduleTools,
  find: (view: string) => Promise<ViewPlan>,
  onRun: (plan: ViewPlan, result: MaterializeResult) => void,
  replayMs?: number,
): JobKind {
  return {
    prefix,
    unowned: true,
    // a store that was emptied is another one from then on
    isWanted: async (queue) => queue === `${prefix}${await store.identity()}`,
    async work({ data }, signal) {
      const run = data as ScheduledRun // made by askForScheduledRun alone
      if (await isDone(db, await store.identity(), run)) return null
      const plan = await find(run.view)
      const { availability } = plan.spec
      // it was made anew, and has asked for runs of its own
      if (plan.fingerprint !== run.fingerprint || availability.kind !== 'schedule') return null
      onRun(plan, await materializeView(db, store, plan, { now: clock, signal, replayMs }))
      return null
    },
    describe(data) {
      const { view, moment } = data as ScheduledRun
      return `the run of ${view} of ${formatTimestamp(moment)}`
    },
  }
}

export interface DeadLetter extends ScheduledRun {
  readonly why: string
  readonly attempts: number
  readonly at: Date
}

/** Runs that were given up, and that no later one has made up for. */
export async function deadLetters(db: Database, jobs: JobQueue, store: string): Promise<DeadLetter[]> {
  const queue = `${prefix}${store}`
  if (!(await jobs.queues()).includes(queue)) return []
  const letters: DeadLetter[] = []
  for (const { data, why, attempts, at } of await jobs.failures(queue)) {
    const run = data as ScheduledRun
    if (!(await isDone(db, store, run))) letters.push({ ...run, why, attempts, at })
  }
  return letters
}

/** Whether a run that began at that moment, or a later one, has finished. */
async function isDone(db: Database, store: string, { view, fingerprint, moment }: ScheduledRun): Promise<boolean> {
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
