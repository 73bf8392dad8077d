import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { RedisConnection } from '../runtime/redis.ts'

/** What to do about the errors that Redis answers with, by their first word. */
const remedies: Readonly<Record<string, string>> = {
  OOM: 'It is full: raise its maxmemory, or remove what else it holds.',
  NOAUTH: 'Put the user and the password into LOCKSTEP_REDIS_URL.',
  WRONGPASS: 'Correct the user and the password in LOCKSTEP_REDIS_URL.',
  NOPERM: 'Give the user in LOCKSTEP_REDIS_URL the right to do it, or name another one.',
  READONLY: 'It is a replica: set LOCKSTEP_REDIS_URL to the primary.',
  MISCONF: 'It cannot save to its disk, and takes no writes until it can.',
  LOADING: 'It has only just started: try again.',
  BUSY: 'Another script holds it up: try again.',
}

/** What a failed command means to users: no answer at all, or an answer that says why not. */
export function redisError(cause: unknown, connection: RedisConnection): LockstepError {
  if (cause instanceof LockstepError) return cause
  const where = `Redis at "${connection.server}"`
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') {
    return new LockstepError(
      'REDIS_UNAVAILABLE',
      `${where} cannot be used: ${reasonOf(cause, connection)}. Check LOCKSTEP_REDIS_URL and that the server runs.`,
      { cause },
    )
  }
  const text = sentence(cause.message)
  const kind = text.split(' ', 1)[0] ?? ''
  if (kind === 'WRONGTYPE') {
    return new LockstepError(
      'STATE_CORRUPT',
      'A key of the online store holds something that is not a string; another program writes to this Redis under the same prefix. Set another LOCKSTEP_REDIS_PREFIX, or remove that key.',
      { cause },
    )
  }
  const remedy = remedies[kind] ?? 'Check that it is a single Redis of version 7.2 or newer, or a Valkey.'
  return new LockstepError('REDIS_UNAVAILABLE', `${where} refused a command: ${text}. ${remedy}`, { cause })
}

/** The client fails a command with a remark on its own settings; why it had to is in what the connection failed with. */
function reasonOf(cause: unknown, connection: RedisConnection): string {
  const first = cause instanceof Error && /^(Command timed out|Reached the max retries|Connection is closed)/.test(cause.message)
  const root = (first ? connection.trouble() : null) ?? cause
  const text = messageOf(root instanceof AggregateError && root.message === '' ? root.errors[0] : root)
  if (text.startsWith('Command timed out')) {
    return connection.answerMs === null ? 'it does not answer' : `it did not answer within ${connection.answerMs / 1000} s`
  }
  if (text.startsWith('Reached the max retries')) return 'the connection was lost'
  if (text.startsWith('Unknown RESP type')) return 'it does not speak as a Redis does'
  return sentence(text)
}

function sentence(text: string): string {
  return text.trim().replace(/\.$/, '')
}
