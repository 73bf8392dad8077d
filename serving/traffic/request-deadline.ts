import { LockstepError } from '../../kernel/errors.ts'

/** Until when a request is of use. What takes it through a stage asks before it begins the next. */
export interface RequestDeadline {
  /** Milliseconds of `performance.now()`. Set by `lift` alone. */
  at: number
  /** How long the request allows in all, milliseconds. */
  readonly limitMs: number
}

export const timeoutHeader = 'x-request-timeout-ms'
export const longestTimeoutMs = 3_600_000

/**
 * How long a request may take by its header, milliseconds; null where it does not say.
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function timeoutOf(header: string | readonly string[] | undefined): number | null {
  if (header === undefined) return null
  const ms = typeof header === 'string' && /^\d{1,7}$/.test(header) ? Number(header) : 0
  if (ms >= 1 && ms <= longestTimeoutMs) return ms
  throw new LockstepError(
    'INVALID_REQUEST',
    `The header "X-Request-Timeout-Ms" is "${String(header)}"; it must be a whole number of milliseconds from 1 to ${longestTimeoutMs}.`,
    { details: { header: timeoutHeader } },
  )
}

/**
 * How long a request may take: what it asks for, within what the server allows; null: without end. What an admin asks
 * for may take as long as it does.
 */
export function limitOf(wantedMs: number | null, allowedMs: number | null): number | null {
  if (wantedMs === null || allowedMs === null) return wantedMs ?? allowedMs
  return Math.min(wantedMs, allowedMs)
}

/**
 * @param neededMs what is known to be needed still
 * @throws LockstepError `DEADLINE_EXCEEDED` where it is past, or will be by then
 */
export function requireTime({ at, limitMs }: RequestDeadline, neededMs = 0): void {
  if (performance.now() + neededMs >= at) throw deadlineExceeded(limitMs)
}

/** From here on the request is answered with what becomes of it, however long that takes. @throws LockstepError `DEADLINE_EXCEEDED` where it is past */
export function lift(deadline: RequestDeadline): void {
  requireTime(deadline)
  deadline.at = Number.POSITIVE_INFINITY
}

/** A request that is waited for. */
interface Awaited {
  readonly deadline: RequestDeadline
  readonly failed: (error: unknown) => void
  over: boolean
}

const sweepMs = 2
/** All of this process: a timer for each would cost more than what most of them wait for. Those that are over go with the next sweep. */
let awaited: Awaited[] = []
let sweeping: NodeJS.Timeout | null = null

function sweep(): void {
  const now = performance.now()
  const all = awaited
  awaited = []
  for (const one of all) {
    if (one.over) continue
    if (now < one.deadline.at) {
      awaited.push(one)
      continue
    }
    one.over = true
    // each by itself: what one of them throws is not the others' affair
    queueMicrotask(() => one.failed(deadlineExceeded(one.deadline.limitMs)))
  }
  if (awaited.length > 0 || sweeping === null) return
  clearInterval(sweeping)
  sweeping = null
}

/** Calls `done` with what `work` comes to, where that is before the deadline, or `failed` with what it throws, or `DEADLINE_EXCEEDED`; after it nobody waits for it any more. */
export function settleInTime<T>(
  deadline: RequestDeadline,
  work: Promise<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): void {
  const one = { deadline, failed, over: false }
  awaited.push(one)
  sweeping ??= setInterval(sweep, sweepMs)
  const settle = (value: T): void => {
    if (one.over) return
    one.over = true
    // a busy process comes to its timers late
    if (performance.now() >= deadline.at) failed(deadlineExceeded(deadline.limitMs))
    else done(value)
  }
  const fail = (error: unknown): void => {
    if (one.over) return
    one.over = true
    failed(error)
  }
  work.then(settle, fail)
}

/** As `settleInTime`. @throws LockstepError `DEADLINE_EXCEEDED`, and what `work` throws */
export function beforeDeadline<T>(deadline: RequestDeadline, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => settleInTime(deadline, work, resolve, reject))
}

function deadlineExceeded(limitMs: number): LockstepError {
  return new LockstepError(
    'DEADLINE_EXCEEDED',
    `The request was not answered within ${limitMs} ms; ask for less, or allow more by the header "X-Request-Timeout-Ms".`,
    { details: { timeoutMs: limitMs } },
  )
}
