import { LockstepError } from '../../kernel/errors.ts'

/** The error of a request that admission refuses. */
export const overloaded = new LockstepError(
  'OVERLOADED',
  'The server has more requests than it can answer in time. Retry later, or run more servers.',
  { details: { overloaded: 'server' } },
)

const codes: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'FORBIDDEN', 'RATE_LIMITED', 'DEADLINE_EXCEEDED'])

/** Whether an error refuses a request before its handler, or at its deadline. Admission counts its own refusals. */
export function isRefusal(error: unknown): error is LockstepError {
  if (!(error instanceof LockstepError)) return false
  const { code, details } = error
  return codes.has(code) || (code === 'OVERLOADED' && details['key'] !== undefined)
}
