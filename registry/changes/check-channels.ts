import { LockstepError } from '../../kernel/errors.ts'
import { isPrivateHost } from '../../runtime/private-address.ts'
import type { Definition } from '../definition.ts'

/**
 * Channels whose URL names a private address. Names that the DNS resolves are checked when an alert is sent, as they
 * may resolve to another address each time.
 */
export function checkChannels(definitions: readonly Definition[]): LockstepError[] {
  return definitions.flatMap((definition) => {
    if (definition.kind !== 'channel') return []
    const { name, url } = definition.spec
    if (typeof url !== 'string' || !isPrivateHost(new URL(url).hostname)) return []
    const host = new URL(url).hostname
    return [
      new LockstepError(
        'DEFINITIONS_INVALID',
        `The channel "${name}" sends alerts to "${host}", which is a private address. To allow private addresses, set LOCKSTEP_ALERT_PRIVATE_ADDRESSES to "allow".`,
        { details: { channel: name, host } },
      ),
    ]
  })
}
