import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/database.ts'
import type { HeldJob, JobQueue } from '../../runtime/job-queue.ts'
import { isSpineHeld } from '../spine/spine-table.ts'
import type { PartJob, RefusedPart } from './part-job.ts'
import { allQueues, packResult, queueOf, spineOfQueue } from './part-job.ts'
import { removeLostExport } from './remove-lost-exports.ts'
import { writePart } from './write-part.ts'

export interface PartWorkerTools {
  readonly db: Database
  readonly jobs: JobQueue
  /** Gives the service of that id, or throws why there is none. */
  readonly find: (service: string) => Promise<ServicePlan>
  /** How others call this process: `host:pid`. */
  readonly worker: string
}

export interface WorkOptions {
  /** The spine of the one export to work on; null: all that there are, in turn. */
  readonly only: number | null
  /** Ends the work; a job that is under way is handed back. */
  readonly signal: AbortSignal
  readonly onEvent?: (event: PartEvent) => void
}

export type PartEvent =
  | { readonly kind: 'taken' | 'handed back' | 'lost' | 'refused'; readonly job: PartJob }
  | { readonly kind: 'written'; readonly job: PartJob; readonly rows: number; readonly bytes: number; readonly seconds: number }
  | { readonly kind: 'away'; readonly message: string }

const idleMs = 500
const awayMs = 2_000

/**
 * Takes parts of exports, one after another, until the signal. What another worker would fail of, too, fails the export; other failures hand the job back.
 */
export async function workOnParts(tools: PartWorkerTools, options: WorkOptions): Promise<void> {
  const { signal, only } = options
  let turn = 0
  while (!signal.aborted) {
    let waitMs = idleMs
    try {
      const job = await nextJob(tools, only, turn++)
      if (job !== null) {
        await work(tools, options, job)
        continue
      }
    } catch (error) {
      if (signal.aborted) break
      if (!(error instanceof LockstepError) || error.code !== 'POSTGRES_UNAVAILABLE') throw error
      options.onEvent?.({ kind: 'away', message: error.message })
      waitMs = awayMs
    }
    await setTimeout(waitMs, undefined, { signal }).catch(() => undefined)
  }
}

/** From each export in turn, so that a small one does not wait for a large one. */
async function nextJob({ db, jobs }: PartWorkerTools, only: number | null, turn: number): Promise<HeldJob | null> {
  if (only !== null) return await jobs.take(queueOf(only))
  const queues = (await jobs.queues(allQueues)).toSorted()
  for (const [i] of queues.entries()) {
    const queue = queues[(turn + i) % queues.length] as string
    if (await isSpineHeld(db, spineOfQueue(queue))) {
      const job = await jobs.take(queue)
      if (job !== null) return job
    } else {
      await removeLostExport(db, jobs, queue)
    }
  }
  return null
}

async function work({ db, find, worker }: PartWorkerTools, { signal, onEvent }: WorkOptions, held: HeldJob): Promise<void> {
  const job = held.data as PartJob // made by createSharedDataset alone
  const started = performance.now()
  onEvent?.({ kind: 'taken', job })
  try {
    const written = await writePart(db, await find(job.service.id), job, worker, AbortSignal.any([signal, held.lost]))
    if (await held.finish(packResult(written))) {
      const { rows, bytes } = written
      onEvent?.({ kind: 'written', job, rows, bytes, seconds: (performance.now() - started) / 1000 })
    } else {
      await rm(join(job.folder, written.file), { force: true })
      await rmdir(job.folder).catch(() => undefined)
      onEvent?.({ kind: 'lost', job })
    }
  } catch (error) {
    onEvent?.({ kind: await giveUp(held, job, worker, signal, error), job })
  }
}

/** Failures that say nothing about the part itself. */
const passing: ReadonlySet<string> = new Set(['POSTGRES_UNAVAILABLE', 'STOPPED', 'INTERNAL'])

async function giveUp(
  held: HeldJob,
  job: PartJob,
  worker: string,
  signal: AbortSignal,
  error: unknown,
): Promise<'handed back' | 'lost' | 'refused'> {
  // also ends its heartbeat; what cannot be told is found out by its silence
  const handBack = (why: string): Promise<void> => held.handBack(why).catch(() => undefined)
  if (signal.aborted) {
    await handBack('its worker was stopped')
    return 'handed back'
  }
  if (held.lost.aborted || !(await held.isHeld().catch(() => false))) {
    await handBack('it was taken away')
    return 'lost'
  }
  if (error instanceof LockstepError && !passing.has(error.code)) {
    const { code, message, details } = error
    const refused: RefusedPart = { part: job.part, worker, error: { code, message, details } }
    await held.finish(packResult(refused))
    return 'refused'
  }
  await handBack(messageOf(error))
  return 'handed back'
}
