import { LockstepError } from '../../kernel/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { TrafficOptions } from './traffic.ts'
import type { KeyRing } from './key-ring.ts'
import { isLoopback } from './loopback.ts'

export interface RequireKeysDeps {
  readonly keys: Pick<KeyRing, 'expose' | 'known' | 'configured'>
  readonly auth: TrafficOptions['auth']
  /** Reads the keys from the database now, where it answers. */
  readonly refresh: () => Promise<void>
  readonly log: Logger
}

/**
 * Requires an API key before a server listens on an address that other machines reach. While the database does not say
 * whether there are keys, the server refuses requests.
 *
 * @throws LockstepError `CONFIG_INVALID` where there is no key
 */
export async function requireKeys(host: string, { keys, auth, refresh, log }: RequireKeysDeps): Promise<void> {
  if (isLoopback(host)) return
  keys.expose()
  if (auth === 'off') {
    log.warn({ host }, 'API keys are off: anyone who can reach this address may do anything')
    return
  }
  await refresh()
  if (!keys.known || keys.configured) return
  throw new LockstepError(
    'CONFIG_INVALID',
    `The server would listen on "${host}", which other machines can reach, but there is no API key. Create one with "lockstep keys create --scope read,predict", or set LOCKSTEP_HOST to 127.0.0.1. If something else protects the server, set LOCKSTEP_AUTH to off.`,
    { details: { host } },
  )
}
