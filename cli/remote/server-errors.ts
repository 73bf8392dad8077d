import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { readVersion } from '../../runtime/version.ts'

export function unreachable(url: string, cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  const reason = cause instanceof Error && cause.cause instanceof Error ? messageOf(cause.cause) : messageOf(cause)
  return new LockstepError(
    'SERVER_UNAVAILABLE',
    `The server "${url}" cannot be reached: ${reason}. Check the URL, and that "lockstep serve" runs there.`,
    { cause, details: { url } },
  )
}

/** The error of a server that accepts connections and sends nothing. Its details have `silent: true`. */
export function silentServer(url: string, silentMs: number): LockstepError {
  return new LockstepError(
    'SERVER_UNAVAILABLE',
    `The server "${url}" does not answer: it accepts connections, and sent nothing for ${silentMs / 1000} s. Look at its log, or restart it. If it only needs longer, raise LOCKSTEP_SERVER_SILENCE_SECONDS.`,
    { details: { url, silent: true } },
  )
}

/** The error that a server answered with a status. */
export function answeredError(url: string, status: number, json: unknown): LockstepError {
  const error = isRecord(json) ? json['error'] : undefined
  if (!isRecord(error) || typeof error['code'] !== 'string') return notLockstep(url, status)
  const details = isRecord(error['details']) ? error['details'] : {}
  if (error['code'] === 'NOT_FOUND' && 'path' in details) return otherVersion(url, details['path'])
  const hint =
    status === 401 ? ' Set LOCKSTEP_API_KEY to a key with the scope "admin": "lockstep keys create --scope admin" makes one.' : ''
  // a newer server may have codes that this version does not know; they are only printed
  return new LockstepError(error['code'] as ErrorCode, `${String(error['message'])}${hint}`, { details: { ...details, server: url } })
}

/** The error of an answer that is not one of Lockstep, as from a proxy. */
export function notLockstep(url: string, status: number): LockstepError {
  const details = { url, status }
  if (isTemporaryStatus(status)) {
    return new LockstepError('SERVER_UNAVAILABLE', `The server "${url}" answered with status ${status}; try again later.`, { details })
  }
  return new LockstepError(
    'USAGE',
    `"${url}" answered with status ${status} and not as a Lockstep server does; check the URL of the server.`,
    { details },
  )
}

function otherVersion(url: string, path: unknown): LockstepError {
  return new LockstepError(
    'VERSION_MISMATCH',
    `The server "${url}" does not have "${String(path)}", so it runs another version of Lockstep than this command (${readVersion()}). Use the version of the server, or upgrade the server.`,
    { details: { url, path, command: readVersion() } },
  )
}

/** Whether the same request may succeed later. */
export function isTemporaryStatus(status: number): boolean {
  return [408, 429, 502, 503, 504].includes(status)
}
