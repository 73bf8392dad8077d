import type { ErrorCode } from '../kernel/errors.ts'

/**
 * What a server refused a request for, by its code; `NETWORK` where it could not be reached or broke off, `BAD_ANSWER`
 * where what answers is no Lockstep. A newer server may have codes that are not known here.
 */
export type ClientErrorCode = ErrorCode | 'NETWORK' | 'BAD_ANSWER'

/** A request that failed, after all its attempts. */
export class ClientError extends Error {
  readonly code: ClientErrorCode
  /** The HTTP status; null where there was no answer. */
  readonly status: number | null
  /** Under which the server's log has it. */
  readonly requestId: string | null
  readonly details: Readonly<Record<string, unknown>>
  /** How often it was sent. */
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
