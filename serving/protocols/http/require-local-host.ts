import { isIP } from 'node:net'
import { cutText } from '../../../kernel/cut-text.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { hostName } from '../../traffic/loopback.ts'

/**
 * Lets in what was sent to an address, or to this machine by its own name. A page of a name that was made to point at this machine (DNS rebinding) has that name in `Host`, and its browser takes the
 * server for the page's own: without keys nothing else tells it from a program that may ask.
 *
 * @param host the header; undefined: from no browser
 * @throws LockstepError `FORBIDDEN`
 */
export function requireLocalHost(host: string | undefined): void {
  if (host === undefined || isLocal(host)) return
  const sent = cutText(host, 200)
  throw new LockstepError(
    'FORBIDDEN',
    `Without API keys the server answers to its address and to "localhost" alone, and not as "${sent}"; use one of those, or make a key with "lockstep keys create".`,
    { details: { host: sent } },
  )
}

function isLocal(host: string): boolean {
  const name = hostName(host)
  return name === 'localhost' || name.endsWith('.localhost') || isIP(name.replaceAll(/^\[|\]$/g, '')) !== 0
}
