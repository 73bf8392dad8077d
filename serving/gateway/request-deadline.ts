import { LockstepError } from '../../kernel/errors.ts'

/** Until when a request is of use. What takes it through a stage asks before it begins the next. */
export interface RequestDeadline {
  /** Milliseconds of `performance.now()`. */
  readonly at: number
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
 * @param neededMs what is known to be needed still
 * @throws LockstepError `DEADLINE_EXCEEDED` where it is past, or will be by then
 */
export function requireTime({ at, limitMs }: RequestDeadline, neededMs = 0): void {
  if (performance.now() + neededMs >= at) throw deadlineExceeded(limitMs)
}

/** A request that is waited for. */
interface Awaited {
  readonly deadline: RequestDeadline
  readonly late: (error: LockstepError) => void
}

const sweepMs = 2
/** All of this process: a timer for each would cost more than what most of them wait for. */
const awaited = new Set<Awaited>()
let sweeping: NodeJS.Timeout | null = null

function sweep(): void {
  const now = performance.now()
  for (const one of awaited) {
    if (now < one.deadline.at) continue
    awaited.delete(one)
    one.late(deadlineExceeded(one.deadline.limitMs))
  }
  if (awaited.size > 0 || sweeping === null) return
  clearInterval(sweeping)
  sweeping = null
}

/** What `work` comes to, where that is before the deadline; after it nobody waits for it any more. @throws LockstepError `DEADLINE_EXCEEDED`, and what `work` throws */
export function beforeDeadline<T>(deadline: RequestDeadline, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const one = { deadline, late: reject }
    awaited.add(one)
    sweeping ??= setInterval(sweep, sweepMs)
    work.then(
      (value) => {
        awaited.delete(one)
        // a busy process comes to its timers late
        if (performance.now() >= deadline.at) return reject(deadlineExceeded(deadline.limitMs))
        return resolve(value)
      },
      (error: unknown) => {
        awaited.delete(one)
        reject(error)
      },
    )
  })
}

function deadlineExceeded(limitMs: number): LockstepError {
  return new LockstepError(
    'DEADLINE_EXCEEDED',
    `The request was not answered within ${limitMs} ms; ask for less, or allow more by the header "X-Request-Timeout-Ms".`,
    { details: { timeoutMs: limitMs } },
  )
}
