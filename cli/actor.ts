import { hostname, userInfo } from 'node:os'
import type { Actor } from '../runtime/audit.ts'
import type { Option } from './command.ts'
import type { Input } from './input.ts'

/** The option for the reason of a change, which the history shows. */
export const reasonOption: Option = { value: 'TEXT', help: 'The reason, for the history.' }

/** The user and host of this process, `user@host`, and the reason from the option "reason". */
export function actorOf(input: Input): Actor {
  return { actor: userAtHost(), reason: input.text('reason') }
}

/** The user and host of this process. */
export function userAtHost(): string {
  return `${userName()}@${hostname()}`
}

/** The user id of a process may have no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? ''}`.trim()
  }
}
