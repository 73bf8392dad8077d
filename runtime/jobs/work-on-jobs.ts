import { setTimeout } from 'node:timers/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { sleep } from '../async.ts'
import type { Database } from '../postgres/database.ts'
import { sharedNowMicros } from '../postgres/database-clock.ts'
import type { FaultPoint } from '../fault-point.ts'
import { faultPoint } from '../fault-point.ts'
import { isDiskFull, isOutage, isTemporary } from '../is-temporary.ts'
import { asLockstepError } from '../postgres/postgres-unavailable.ts'
import type { Tracing } from '../tracing/span.ts'
import { endJob } from './end-job.ts'
import { createScheduleFirer } from './fire-schedules.ts'
import { watchTables } from './lost-tables.ts'
import type { Doing, JobError, JobEvent, JobKind, StepContext } from './job-kind.ts'
import type { JobNotices } from './job-notices.ts'
import { listenToJobs } from './job-notices.ts'
import { readJob } from './read-jobs.ts'
import type { ClaimedStep } from './steps.ts'
import { chunkResults, claimStep, finishChunk, finishLast, finishPlan, handBack, renewLease, unknownKinds } from './steps.ts'
import { wrongSpec } from './submit-job.ts'
import { createTurns } from './turns.ts'

export interface WorkOptions {
  readonly kinds: readonly JobKind[]
  /** How others call this process: `host:pid`. */
  readonly worker: string
  /** Ends the work; steps that are at work are handed back. */
  readonly signal: AbortSignal
  /** How many steps at a time, and one more of an urgent kind. Default: 1. */
  readonly concurrency?: number
  /** The one job to work on. Absent: all, and schedules are kept too. */
  readonly only?: number
  /** The names of all kinds that this version has, of which `kinds` may be some: others are reported. */
  readonly known?: readonly string[]
  readonly onEvent?: (event: JobEvent) => void
  /** Called when a step of this process says what it is at: before it is written down, which may have to wait. */
  readonly onDoing?: (doing: Doing) => void
  /** Records each step. Default: null, none. */
  readonly tracing?: Tracing | null
  /** How long it waits for a notice before it looks for steps again. Default: 1,000. */
  readonly idleMs?: number
  /** Epoch microseconds, for schedules. Default: this machine's clock, or the database's where that is behind it. */
  readonly clock?: () => number
}

const defaultIdleMs = 1_000
/** How long it waits while a store is unavailable. */
const unavailableMs = 2_000
/** How long it claims no step after one failed for a full disk, so that workers with room claim it. */
const fullDiskMs = 60_000
/** How long a step waits for the end of an outage before its attempts count. */
const maxOutageSeconds = 86_400
const maxHeartbeatMs = 2_000
/**
 * How long a clean that failed waits at most. It is retried until its job is forgotten, or somebody retries the job.
 */
const maxCleanSeconds = 3_600
/** A step that is handed back as its worker was asked to end is for others at once. */
const atOnce = { delaySeconds: 0, refund: true }

/**
 * Claims steps of jobs, one after another, until the signal. It survives outages: jobs whose store is
 * unavailable wait, and others do not wait for them.
 *
 * @param db must outlive the signal, so that steps can be handed back
 */
export async function workOnJobs(db: Database, options: WorkOptions): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const notices = await listenToJobs(db)
  const firer = options.only === undefined ? createScheduleFirer(db, options.kinds, options.worker) : null
  const reported = new Set<string>()

  async function look(): Promise<void> {
    if (options.only !== undefined) return
    await firer?.fire(options.clock?.() ?? (await sharedNowMicros(db, Date.now() * 1000)))
    for (const kind of options.known === undefined ? [] : await unknownKinds(db, options.known)) {
      if (!reported.has(kind)) options.onEvent?.({ type: 'unknown kind', kind })
      reported.add(kind)
    }
  }

  /** Does something again and again: at once where there was something to do, else after a notice or a while. */
  async function again(what: () => Promise<'more' | 'idle' | { readonly unavailable: string }>, woken: boolean): Promise<void> {
    const tables = watchTables(db)
    while (!signal.aborted) {
      const heard = notices.heard()
      let waitMs = options.idleMs ?? defaultIdleMs
      try {
        const found = await what()
        if (found === 'more') continue
        if (found !== 'idle') {
          options.onEvent?.({ type: 'unavailable', error: found.unavailable })
          waitMs = unavailableMs
        }
      } catch (error) {
        if (signal.aborted) break
        const why = isTemporary(error) ? error : await tables.whyLost(error)
        if (why === null) throw error
        options.onEvent?.({ type: 'unavailable', error: messageOf(why) })
        waitMs = unavailableMs
      }
      if (woken) await notices.next(heard, waitMs, signal)
      else await setTimeout(waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  let pausedUntil = 0
  const urgent = options.kinds.filter((kind) => kind.urgent === true)
  const lanes = [...Array.from({ length: options.concurrency ?? 1 }, () => options.kinds), ...(urgent.length === 0 ? [] : [urgent])]
  const turns = createTurns(() => performance.now())
  const claiming = lanes.map((lane) =>
    again(async () => {
      const pauseMs = pausedUntil - performance.now()
      if (pauseMs > 0) await setTimeout(pauseMs, undefined, { signal })
      const { kinds, unavailable } = await workable(lane)
      const { worker, only } = options
      const claimed = await claimStep(db, { kinds, worker, rests: turns.rests, only })
      if (claimed === null) return unavailable === null ? 'idle' : { unavailable }
      const end = turns.begin(claimed.job.id)
      if (isDiskFull(await work(db, claimed, notices, { ...options, signal }))) pausedUntil = performance.now() + fullDiskMs
      end()
      return 'more'
    }, true),
  )
  const looking = again(async () => {
    await look()
    return 'idle'
  }, false)
  try {
    await Promise.all([...claiming, looking])
  } finally {
    stop.abort()
    await Promise.allSettled([...claiming, looking])
    await notices.close()
  }
}

/**
 * The kinds whose jobs this process can do now, with their scopes.
 *
 * @returns `unavailable`: why one of the others cannot be done
 */
async function workable(kinds: readonly JobKind[]) {
  let unavailable: string | null = null
  const can: { readonly kind: string; readonly scope: string }[] = []
  for (const kind of kinds) {
    try {
      const scopes = kind.scopes === undefined ? [(await kind.scope?.()) ?? ''] : await kind.scopes()
      can.push(...scopes.map((scope) => ({ kind: kind.name, scope })))
    } catch (error) {
      // a step that was claimed now would only use up an attempt
      unavailable ??= messageOf(error)
    }
  }
  return { kinds: can, unavailable }
}

/** @returns what the step failed with; null: it did not fail */
async function work(
  db: Database,
  claimed: ClaimedStep,
  notices: JobNotices,
  { kinds, worker, signal, onEvent, onDoing, tracing }: WorkOptions,
): Promise<unknown> {
  const kind = kinds.find(({ name }) => name === claimed.kind)
  if (kind === undefined) return null
  const { job, attempt } = claimed
  const spec = kind.spec.safeParse(job.spec)
  if (!spec.success) {
    await endJob(db, job.id, 'failed', { error: wrongSpec(kind.name, spec.error.message) })
    return null
  }
  const whole = { ...job, spec: spec.data }
  const what = kind.describe?.(whole, claimed) ?? described(claimed)
  const about = { kind: kind.name, job: job.id, what }
  const started = performance.now()
  onEvent?.({ type: 'taken', ...about })
  const attributes = {
    'lockstep.job.kind': kind.name,
    'lockstep.job.id': job.id,
    'lockstep.job.subject': job.subject,
    'lockstep.job.chunk': claimed.step === 'chunk' ? claimed.number : undefined,
    'lockstep.job.attempt': attempt,
  }
  const span = tracing?.begin(`job ${kind.name} ${claimed.step}`, { kind: 'consumer', attributes })
  const lost = new AbortController()
  let progress: number | null = null
  let doing: Doing | null = null
  const isHeld = async (): Promise<boolean> => await renewLease(db, claimed, progress, doing)
  const beat = async (): Promise<void> => {
    if (!(await isHeld())) lost.abort(new LockstepError('STOPPED', 'This process no longer owns the step.'))
  }
  // a beat that fails says nothing of the step
  const heart = setInterval(() => void beat().catch(() => undefined), Math.min(maxHeartbeatMs, claimed.leaseSeconds * 300))
  const unwatch = notices.watch(job.id, () => void beat().catch(() => undefined))
  const step: StepContext = {
    signal: AbortSignal.any([signal, lost.signal]),
    worker,
    attempt,
    span,
    progress(done, total, what) {
      progress = total === 0 ? null : done / total
      const isNew = what !== doing?.what
      doing = what === undefined ? null : { what, done, total }
      if (doing !== null) onDoing?.(doing)
      // a part that takes long shows at once
      if (isNew) void beat().catch(() => undefined)
    },
    isHeld,
  }
  try {
    // one that was killed so often is not tried once more
    if (attempt > kind.retries && claimed.step !== 'clean') throw new UsedUp(claimed)
    const isDone = await runStep(db, kind, { ...claimed, job: whole }, step)
    const error = 'another process has it, or its job has ended'
    if (isDone) onEvent?.({ type: 'done', ...about, seconds: (performance.now() - started) / 1000 })
    else onEvent?.({ type: 'lost', ...about, error })
    return null
  } catch (error) {
    if (!signal.aborted) span?.fail(error)
    const type = await giveUp(db, kind, claimed, { signal, lost: lost.signal, isHeld, error })
    onEvent?.({ type, ...about, error: messageOf(error) })
    return error
  } finally {
    clearInterval(heart)
    unwatch()
    span?.end()
  }
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

/** What `run` gave for the chunks. */
async function resultsOf(db: Database, job: number): Promise<(object | null)[]> {
  return (await chunkResults(db, job)) as (object | null)[] // written by finishChunk alone
}

interface Failure {
  readonly signal: AbortSignal
  readonly lost: AbortSignal
  readonly isHeld: () => Promise<boolean>
  readonly error: unknown
}

/** Waits while the database is down: a lease that runs out would use up an attempt. */
async function giveUp(db: Database, kind: JobKind, claimed: ClaimedStep, failure: Failure): Promise<'handed back' | 'failed' | 'lost'> {
  for (;;) {
    try {
      return await giveUpOnce(db, kind, claimed, failure)
    } catch (error) {
      if (failure.signal.aborted || !isTemporary(error)) return 'handed back' // the lease runs out, and another takes it
      await sleep(unavailableMs, { signal: failure.signal })
    }
  }
}

async function giveUpOnce(
  db: Database,
  kind: JobKind,
  claimed: ClaimedStep,
  { signal, lost, isHeld, error }: Failure,
): Promise<'handed back' | 'failed' | 'lost'> {
  if (signal.aborted) {
    await handBack(db, claimed, { ...atOnce, error: { code: 'STOPPED', message: 'its worker was stopped' } })
    return 'handed back'
  }
  if (lost.aborted || !(await isHeld())) return 'lost'
  const since = isOutage(error) ? outageStart(claimed) : null
  const waitedSeconds = since === null ? 0 : (Date.now() - since) / 1000
  const isClean = claimed.step === 'clean'
  const refund = !isClean && since !== null && waitedSeconds < maxOutageSeconds
  const why = errorOf(error, since)
  const isFinal = error instanceof UsedUp || (kind.isFinal ?? endsJob)(error)
  if (!isClean && (isFinal || (!refund && claimed.attempt >= kind.retries))) {
    await endJob(db, claimed.job.id, 'failed', { error: isFinal ? why : givenUp(claimed, why) })
    return 'failed'
  }
  const { from, to } = kind.backoffSeconds
  const delaySeconds = refund ? Math.max(from, waitedSeconds) : from * 2 ** Math.min(claimed.attempt, 30)
  await handBack(db, claimed, { delaySeconds: Math.min(isClean ? maxCleanSeconds : to, delaySeconds), refund, error: why })
  return 'handed back'
}

/** When the outage began for which the attempt before failed, too; else now. */
function outageStart({ lastError }: ClaimedStep): number {
  const since = lastError?.details?.['waitingSince']
  return typeof since === 'string' ? Date.parse(since) : Date.now()
}

/** Whether another process would fail of it, too. */
function endsJob(error: unknown): boolean {
  return error instanceof LockstepError && error.code !== 'INTERNAL' && !isTemporary(error) && !isDiskFull(error)
}

/** A step whose workers died as often as it may be tried. */
class UsedUp extends LockstepError {
  constructor(claimed: ClaimedStep) {
    const { code, message, details } = givenUp(claimed, claimed.lastError, -1)
    super(code, message, { details: { ...details } })
  }
}

function givenUp(claimed: ClaimedStep, why: JobError | null, more = 0): JobError {
  const times = claimed.attempt + 1 + more
  const reason = why?.message.replace(/\.$/, '') ?? 'its worker stopped responding'
  return {
    code: why?.code ?? 'INTERNAL',
    message: `${sentence(stepName(claimed))} failed ${times} times: ${reason}. See the logs of the workers, then retry the job: "lockstep job retry ${claimed.job.id}".`,
    details: { ...why?.details, reason: why?.message ?? reason, attempts: times },
  }
}

function errorOf(error: unknown, since: number | null): JobError {
  const { code, message, details } = asLockstepError(error)
  return { code, message, details: since === null ? details : { ...details, waitingSince: new Date(since).toISOString() } }
}

function stepName({ step, number, job }: ClaimedStep): string {
  return step === 'chunk' ? `chunk ${number} of ${job.chunks}` : `the step "${step}"`
}

function described(claimed: ClaimedStep): string {
  return `${stepName(claimed)} of ${claimed.kind} ${claimed.job.id} (${claimed.job.subject})`
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
