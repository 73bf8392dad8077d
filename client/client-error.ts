import type { ErrorCode } from '../kernel/errors.ts'

/**
 * Why a request failed: the error code of the server. `NETWORK`: the server could not be reached, or the connection
 * broke. `BAD_ANSWER`: the answer does not come from a Lockstep server. A newer server may have codes that this client
 * does not know.
 */
export type ClientErrorCode = ErrorCode | 'NETWORK' | 'BAD_ANSWER'

/** A request that failed, after all its attempts. */
export class ClientError extends Error {
  readonly code: ClientErrorCode
  /** The HTTP status; null where there was no answer. */
  readonly status: number | null
  /** The id of the request in the server's log. */
  readonly requestId: string | null
  readonly details: Readonly<Record<string, unknown>>
  /** The number of attempts. */
  readonly attempts: number

  constructor(
    code: ClientErrorCode,
    message: string,
    facts: {
      readonly status?: number
      readonly requestId?: string | null
      readonly details?: Readonly<Record<string, unknown>>
      readonly attempts: number
      readonly cause?: unknown
    },
  ) {
    super(message, { cause: facts.cause })
    this.name = 'ClientError'
    this.code = code
    this.status = facts.status ?? null
    this.requestId = facts.requestId ?? null
    this.details = facts.details ?? {}
    this.attempts = facts.attempts
  }
}
