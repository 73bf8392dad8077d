import type { LockstepError } from '../../kernel/errors.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { Logger } from '../../runtime/log.ts'
import { asLockstepError } from '../../runtime/postgres/postgres-unavailable.ts'
import { shortMessage } from './short-error.ts'
import type { Trace } from './trace.ts'
import { traceOf } from './trace.ts'

export interface FailedRequest {
  readonly requestId: string
  readonly trace: Trace | null
  readonly error: unknown
  /** The same error as its client sees it. */
  readonly shown: LockstepError
  /** The HTTP status of its code, also where the request came by another protocol. */
  readonly status: number
}

/**
 * Logs the errors of requests: with the stack where the server failed, else at level debug. While a store is down, each
 * request fails for the same cause: of one cause, so many a minute are logged, the others at level debug.
 */
export interface FailureLog {
  failed(request: FailedRequest): void
  /** Ends a minute: logs how many were left out, by cause. */
  endMinute(): void
  close(): void
}

interface Cause {
  readonly code: string
  readonly error: string
  failures: number
}

const maxPerMinute = 10
/** Beyond so many causes in a minute, causes with one code count as one. */
const maxCauses = 100

export function createFailureLog(log: Logger): FailureLog {
  /** The causes of this minute. */
  const causes = new Map<string, Cause>()

  function isLeftOut(code: string, error: string): boolean {
    const key = causes.size < maxCauses || causes.has(`${code} ${error}`) ? `${code} ${error}` : code
    const known = causes.get(key)
    if (known === undefined) causes.set(key, { code, error, failures: 1 })
    else known.failures++
    return known !== undefined && known.failures > maxPerMinute
  }

  function endMinute(): void {
    for (const { code, error, failures } of causes.values()) {
      const leftOut = failures - maxPerMinute
      if (leftOut > 0) log.error({ code, error, leftOut }, 'more requests failed for the same cause')
    }
    causes.clear()
  }

  const minutes = setInterval(endMinute, 60_000).unref()
  return {
    failed({ requestId, trace, error, shown, status }) {
      const failed = isFailure(shown, status)
      if (!failed && !log.isLevelEnabled('debug')) return
      const message = shortMessage(asLockstepError(error).message)
      const quiet = failed && shown.code !== 'INTERNAL' && isTemporary(shown) && isLeftOut(shown.code, message)
      if (quiet && !log.isLevelEnabled('debug')) return
      const { traceId, spanId, parentId } = trace ?? traceOf(undefined)
      const line = { requestId, traceId, spanId, parentId, code: shown.code, error: message }
      if (!failed) return log.debug(line, 'a request was refused')
      if (quiet) return log.debug(line, 'a request failed')
      log.error({ ...line, stack: error instanceof Error ? error.stack : undefined }, 'a request failed')
    },
    endMinute,
    close() {
      clearInterval(minutes)
      endMinute()
    },
  }
}

/** Whether the server failed. Otherwise the request asked for something wrong, for too much, or in too little time. */
function isFailure({ code }: LockstepError, status: number): boolean {
  return status >= 500 && status !== 501 && code !== 'DEADLINE_EXCEEDED' && code !== 'OVERLOADED'
}
