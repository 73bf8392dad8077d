import { messageOf } from '../../kernel/errors.ts'
import type { FaultPoint } from '../fault-point.ts'
import { faultPoint } from '../fault-point.ts'
import type { Database } from '../postgres/database.ts'
import type { Span, Tracing } from '../tracing/span.ts'
import { endJob } from './end-job.ts'
import { giveUpStep, UsedUp } from './give-up-step.ts'
import { holdStep } from './hold-step.ts'
import type { Doing, JobEvent, JobKind, StepContext } from './job-kind.ts'
import type { JobNotices } from './job-notices.ts'
import { readJob } from './read-jobs.ts'
import type { ClaimedStep } from './steps.ts'
import { chunkResults, finishChunk, finishLast, finishPlan, stepName } from './steps.ts'
import { wrongSpec } from './submit-job.ts'

export interface StepOptions {
  readonly kinds: readonly JobKind[]
  /** How others call this process: `host:pid`. */
  readonly worker: string
  /** Ends the work; steps that are at work are handed back. */
  readonly signal: AbortSignal
  readonly onEvent?: (event: JobEvent) => void
  /** Called when a step of this process says what it is at: before it is written down, which may have to wait. */
  readonly onDoing?: (doing: Doing) => void
  /** Records each step. Default: null, none. */
  readonly tracing?: Tracing | null
}

/**
 * Runs a claimed step, and writes down what became of it.
 *
 * @returns what the step failed with; null: it did not fail
 */
export async function doStep(
  db: Database,
  claimed: ClaimedStep,
  notices: JobNotices,
  { kinds, worker, signal, onEvent, onDoing, tracing }: StepOptions,
): Promise<unknown> {
  const kind = kinds.find(({ name }) => name === claimed.kind)
  if (kind === undefined) return null
  const { attempt } = claimed
  const spec = kind.spec.safeParse(claimed.job.spec)
  if (!spec.success) {
    await endJob(db, claimed.job.id, 'failed', { error: wrongSpec(kind.name, spec.error.message) })
    return null
  }
  const job = { ...claimed.job, spec: spec.data }
  const about = { kind: kind.name, job: job.id, what: kind.describe?.(job, claimed) ?? described(claimed) }
  const started = performance.now()
  onEvent?.({ type: 'taken', ...about })
  const span = beginSpan(tracing, claimed)
  const held = holdStep(db, claimed, notices)
  const context: StepContext = {
    signal: AbortSignal.any([signal, held.lost]),
    worker,
    attempt,
    span,
    progress(done, total, what) {
      const doing = what === undefined ? null : { what, done, total }
      if (doing !== null) onDoing?.(doing)
      held.note(total === 0 ? null : done / total, doing)
    },
    isHeld: held.isHeld,
  }
  try {
    // a step whose workers died that often is not tried again
    if (attempt > kind.retries && claimed.step !== 'clean') throw new UsedUp(claimed)
    const isDone = await runStep(db, kind, { ...claimed, job }, context)
    if (isDone) onEvent?.({ type: 'done', ...about, seconds: (performance.now() - started) / 1000 })
    else onEvent?.({ type: 'lost', ...about, error: 'another process has it, or its job has ended' })
    return null
  } catch (error) {
    if (!signal.aborted) span?.fail(error)
    const type = await giveUpStep(db, kind, claimed, { error, held, signal })
    onEvent?.({ type, ...about, error: messageOf(error) })
    return error
  } finally {
    held.release()
    span?.end()
  }
}

function beginSpan(tracing: Tracing | null | undefined, { kind, job, step, number, attempt }: ClaimedStep): Span | undefined {
  const attributes = {
    'lockstep.job.kind': kind,
    'lockstep.job.id': job.id,
    'lockstep.job.subject': job.subject,
    'lockstep.job.chunk': step === 'chunk' ? number : undefined,
    'lockstep.job.attempt': attempt,
  }
  return tracing?.begin(`job ${kind} ${step}`, { kind: 'consumer', attributes })
}

/** @returns whether the step was still this process's own when it was done */
async function runStep(db: Database, kind: JobKind, claimed: ClaimedStep, context: StepContext): Promise<boolean> {
  const { job, step, data } = claimed
  switch (step) {
    case 'plan':
      return await finishPlan(db, claimed, (await kind.plan?.(job, context)) ?? { plan: null, chunks: [null] })
    case 'chunk':
      return await finishOrDrop(db, kind, claimed, await kind.run(job, data, context))
    case 'finish':
      return await written('job: ended', finishLast(db, claimed, (await kind.finish?.(job, await resultsOf(db, job.id), context)) ?? null))
    case 'clean':
      await kind.clean?.(job, await resultsOf(db, job.id), context)
      return await finishLast(db, claimed, null)
    default:
      return step satisfies never
  }
}

async function finishOrDrop(db: Database, kind: JobKind, claimed: ClaimedStep, result: object | null): Promise<boolean> {
  const isTaken = await written('job: chunk written down', finishChunk(db, claimed, result))
  // where the job runs on, another process does the chunk, and needs what is there
  if (!isTaken && kind.drop !== undefined && (await readJob(db, claimed.job.id)).state !== 'running') await kind.drop(claimed.job, result)
  return isTaken
}

async function written(point: FaultPoint, writing: Promise<boolean>): Promise<boolean> {
  const isTaken = await writing
  faultPoint(point)
  return isTaken
}

/** The results of `run` for the chunks. */
async function resultsOf(db: Database, job: number): Promise<(object | null)[]> {
  return (await chunkResults(db, job)) as (object | null)[] // written by finishChunk alone
}

function described(claimed: ClaimedStep): string {
  return `${stepName(claimed)} of ${claimed.kind} ${claimed.job.id} (${claimed.job.subject})`
}
