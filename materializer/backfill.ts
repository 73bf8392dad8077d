import { sourceTableName } from '../runtime/relation.ts'
import { LockstepError } from '../kernel/errors.ts'
import { allBelow } from '../kernel/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { keyRanges } from '../offline/key-ranges.ts'
import { readSourceTable } from '../offline/source-table.ts'
import { advanceCheckpoint, readCheckpoint } from '../online/checkpoint.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Actor } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'
import { faultPoint } from './fault-point.ts'
import type { JobQueue } from '../runtime/job-queue.ts'
import type { JobKind } from '../runtime/work-on-jobs.ts'
import { stableUuid } from '../runtime/stable-id.ts'
import type { Backfill } from './backfills.ts'
import {
  backfillState,
  endBackfill,
  finishChunk,
  insertBackfill,
  openChunk,
  openChunks,
  readBackfill,
  readBackfills,
  runningBackfill,
} from './backfills.ts'
import { beginView, lost } from './begin-view.ts'
import { renewRange } from './rebuild-range.ts'
import { finishRun, startRun } from './runs.ts'
import type { NotKeptListener } from './state-writer.ts'

const prefix = 'backfill.'
/** How often a chunk is tried again, its workers' ends included. */
const retries = 9
const backoffSeconds = { from: 1, to: 60 }

export interface BackfillTools {
  readonly db: Database
  readonly store: OnlineStore
  readonly jobs: JobQueue
  /** How others call this process: `host:pid`. */
  readonly worker: string
}

export interface BackfillOptions {
  /** Only entities with an event in [from, to), epoch microseconds. Absent: all. */
  readonly events?: Backfill['events']
  /** How many chunks. Absent: one for every 100,000 rows. */
  readonly chunks?: number | undefined
  /** Who asks for it, for the audit log; absent: nobody, it is part of keeping views current. */
  readonly by?: Actor | undefined
  /** The clock, epoch microseconds. */
  readonly now: () => number
  /** A worker that is not heard of for so long is gone: 10 at least. Absent: 30. */
  readonly heartbeatSeconds?: number
}

/**
 * Makes the states of a view anew from their whole history, in chunks of keys that all workers of the database share. It belongs to nobody: whoever began it may go.
 * Where one of the same view, store and range runs already, it is joined.
 *
 *     begin: checkpoint, ranges, one job for each -> workers: renew the states of a range, write it down -> whoever writes down the last one: move the checkpoint, done
 *
 * @throws LockstepError `INVALID_REQUEST` where only some entities of a view are asked for that was never materialized; `STORE_MISMATCH`, `SOURCE_MISSING`
 */
export async function beginBackfill(
  tools: BackfillTools,
  plan: ViewPlan,
  options: BackfillOptions,
): Promise<{ readonly id: number; readonly joined: boolean }> {
  const { db, store, jobs, worker } = tools
  const { events = null, heartbeatSeconds } = options
  const identity = await store.identity()
  const what = { view: plan.id, store: identity, events }
  let id = await runningBackfill(db, what)
  const joined = id !== null
  if (id === null) {
    if (events !== null) await refuseUnmaterialized(store, plan)
    const table = await readSourceTable(db, plan.spec.source)
    const now = options.now()
    const startedAt = new Date(Math.floor(now / 1000))
    const run = await startRun(db, {
      view: plan.id,
      fingerprint: plan.fingerprint,
      store: identity,
      moment: now,
      startedAt,
      table: sourceTableName(plan.spec.source),
    })
    const { origin } = await beginView(db, store, plan, run, table.hasRow && table.hasXid)
    faultPoint('backfill: begun')
    const ranges = await keyRanges(db, plan, options.chunks ?? null)
    id = await insertBackfill(
      db,
      { ...what, fingerprint: plan.fingerprint, moment: now, run, origin, startedBy: worker },
      ranges,
      options.by,
    )
    faultPoint('backfill: written down')
    id ??= await runningBackfill(db, what)
  }
  // it ran and was done in between
  if (id === null) return await beginBackfill(tools, plan, options)
  await addChunks(db, jobs, id, heartbeatSeconds)
  faultPoint('backfill: shared out')
  return { id, joined }
}

async function refuseUnmaterialized(store: OnlineStore, plan: ViewPlan): Promise<void> {
  const checkpoint = await readCheckpoint(store, plan.id)
  if (checkpoint !== null && checkpoint.frontier.below > 0) return
  throw new LockstepError(
    'INVALID_REQUEST',
    `The view "${plan.id}" is not in the online store yet, so a backfill of a part would leave out the other entities. Remove the range, or materialize the view first.`,
    { details: { view: plan.id } },
  )
}

/** Also those that were added before, which are passed over. */
async function addChunks(db: Database, jobs: JobQueue, id: number, heartbeatSeconds = 30): Promise<void> {
  const queue = `${prefix}${id}`
  await jobs.create(queue, { heartbeatSeconds, retries, backoffSeconds })
  await jobs.add(
    queue,
    (await openChunks(db, id)).map((chunk) => ({ id: stableUuid(`${queue} ${chunk}`), data: { backfill: id, chunk } })),
  )
}

/** Without its running chunks being waited for: they end when they find it gone. @returns whether it was running */
export async function cancelBackfill({ db, jobs }: Pick<BackfillTools, 'db' | 'jobs'>, id: number, by?: Actor): Promise<boolean> {
  const ended = await endBackfill(db, id, 'cancelled', undefined, by)
  await jobs.remove(`${prefix}${id}`)
  return ended
}

export function backfillQueue(id: number): string {
  return `${prefix}${id}`
}

/** The chunks of backfills as jobs. @param find gives the view of that id, or throws why there is none */
export function chunkJobs(tools: BackfillTools, find: (view: string) => Promise<ViewPlan>, onTooLarge?: NotKeptListener): JobKind {
  const { db, store, jobs, worker } = tools
  return {
    prefix,
    unowned: true,
    async isWanted(queue) {
      const found = await backfillState(db, idOf(queue))
      if (found?.state === 'running') return found.store === (await store.identity())
      await jobs.remove(queue)
      return false
    },
    async work({ data }, signal) {
      const { backfill: id, chunk } = data as Chunk // made by addChunks alone
      const backfill = await readBackfill(db, id, Date.now())
      if (backfill === null || backfill.state !== 'running') return null
      const plan = await find(backfill.view)
      if (plan.fingerprint !== backfill.fingerprint) throw changed(backfill)
      const range = await openChunk(db, id, chunk)
      if (range !== null) {
        const checkpoint = await readCheckpoint(store, plan.id)
        if (checkpoint === null || checkpoint.removing || !sameRun(checkpoint.origin, backfill.origin)) throw lost(plan)
        const { events, moment } = backfill
        const renewed = await renewRange(db, store, plan, { checkpoint, range, events, moment, signal, onTooLarge })
        signal.throwIfAborted()
        faultPoint('backfill: chunk made')
        await finishChunk(db, id, chunk, { ...renewed, worker })
        faultPoint('backfill: chunk written down')
      }
      await finishBackfill(tools, id, plan)
      return null
    },
    async refuse({ data }, error) {
      await endBackfill(db, (data as Chunk).backfill, 'failed', error)
      return null
    },
    describe(data) {
      const { backfill, chunk } = data as Chunk
      return `chunk ${chunk} of backfill ${backfill}`
    },
  }
}

/** Ends a backfill all of whose chunks are done; of several that see it, one does. A process that is killed in between leaves it to the next that tends it. */
async function finishBackfill({ db, store }: BackfillTools, id: number, plan: ViewPlan): Promise<void> {
  if ((await openChunks(db, id)).length > 0) return
  // Before it is seen that the backfill still runs: a failover fails it, and then sets the checkpoint back.
  const checkpoint = await readCheckpoint(store, plan.id)
  const backfill = await readBackfill(db, id, Date.now())
  if (backfill === null || backfill.state !== 'running') return
  const { origin, run, rows, entities, below, events } = backfill
  if (checkpoint === null || checkpoint.removing || !sameRun(checkpoint.origin, origin)) throw lost(plan)
  // of some entities alone it says nothing of the others
  const moved =
    events === null
      ? await advanceCheckpoint(store, plan.id, checkpoint, allBelow(below ?? 0), run.startedAt.getTime() * 1000)
      : { is: checkpoint.frontier }
  if (moved === null) throw lost(plan)
  faultPoint('backfill: checkpoint moved')
  const outcome = { begun: origin, whole: !checkpoint.incremental, to: moved.is.below, rows, entities }
  if (!(await endBackfill(db, id, 'done'))) return
  faultPoint('backfill: ended')
  // of some entities alone it is no run of the view: one that is due as of that moment has still to come
  if (events === null) await finishRun(db, run, outcome, new Date())
}

/**
 * Sees to the backfills that run: that each has its jobs, that one whose chunk was given up fails, and that one whose chunks are all done ends. To be called now and then by
 * whoever works on them or waits for one.
 */
export async function tendBackfills(tools: BackfillTools, find: (view: string) => Promise<ViewPlan>, only?: number): Promise<void> {
  const { db, jobs, store } = tools
  const queues = new Set(await jobs.queues())
  for (const backfill of await readBackfills(db, Date.now(), { state: 'running', ...(only === undefined ? {} : { id: only }) })) {
    const { id } = backfill
    if (backfill.store !== (await store.identity())) continue
    if (!queues.has(`${prefix}${id}`)) await addChunks(db, jobs, id)
    const [failure] = await jobs.failures(`${prefix}${id}`)
    if (failure !== undefined) {
      const { chunk } = failure.data as Chunk
      const message = `Chunk ${chunk} of ${backfill.chunks} failed ${failure.attempts} times: ${failure.why}. See the logs of the workers, and run the backfill again.`
      await endBackfill(db, id, 'failed', { code: failure.code ?? 'INTERNAL', message })
      await jobs.remove(`${prefix}${id}`)
    } else if (backfill.chunksDone === backfill.chunks) {
      try {
        await finishBackfill(tools, id, await find(backfill.view))
      } catch (error) {
        // it lost its view, or the view was retired
        if (!(error instanceof LockstepError) || (error.code !== 'STORE_MISMATCH' && error.code !== 'UNKNOWN_DEFINITION')) throw error
        await endBackfill(db, id, 'failed', error)
      }
    }
  }
}

interface Chunk {
  readonly backfill: number
  readonly chunk: number
}

function idOf(queue: string): number {
  return Number(queue.slice(prefix.length))
}

function sameRun(a: Backfill['origin'], b: Backfill['origin']): boolean {
  return a.id === b.id && a.startedAt.getTime() === b.startedAt.getTime()
}

function changed({ id, view }: Backfill): LockstepError {
  return new LockstepError('STORE_MISMATCH', `The view "${view}" has changed since backfill ${id} was started; run it again.`)
}
