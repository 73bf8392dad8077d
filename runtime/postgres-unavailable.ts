import { LockstepError } from '../kernel/errors.ts'

const tooManyConnections = '53300'
/** The error message of pg for a connection timeout. */
export const silentText = 'timeout expired'

const unavailableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  tooManyConnections,
  '57P01', // shut down by the administrator
  '57P02', // crash of another session
  '57P03', // starting up
])

const unavailableMessages = [
  /^Connection terminated/,
  /^timeout expired/,
  /^Client has encountered a connection error/,
  /^Client was closed/,
  /^Query read timeout/,
]

/** Whether an error means that the server is unavailable, not that a statement is wrong. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if ('code' in error && typeof error.code === 'string') {
    // a statement's own fault, such as a parameter without a value; proxies tell their failures by the same code, as
    // fatal
    if (error.code === '08P01' && 'severity' in error && error.severity === 'ERROR') return false
    if (unavailableCodes.has(error.code) || error.code.startsWith('08')) return true
  }
  return unavailableMessages.some((pattern) => pattern.test(error.message))
}

/** Whether the server, the database or the user has as many connections as it may. */
export function isTooManyConnections(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === tooManyConnections
}

/** Makes a `POSTGRES_UNAVAILABLE` error that names the server as host:port, without user and password. */
export function postgresUnavailable(server: string, cause: unknown): LockstepError {
  const remedy = isTooManyConnections(cause)
    ? 'Allow more connections there, or run fewer processes.'
    : 'Start it, or correct LOCKSTEP_POSTGRES_URL.'
  return new LockstepError('POSTGRES_UNAVAILABLE', `PostgreSQL at "${server}" cannot be used: ${reasonOf(cause)}. ${remedy}`, {
    cause,
    details: { server },
  })
}

function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.message === '') return reasonOf(cause.errors[0])
  if (!(cause instanceof Error)) return String(cause)
  if (cause.message.startsWith(silentText) || cause.message.startsWith('Query read timeout')) return 'it does not answer in time'
  return cause.message.replace(/\.$/, '')
}
