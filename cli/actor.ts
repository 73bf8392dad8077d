import { hostname, userInfo } from 'node:os'
import type { Actor } from '../runtime/audit.ts'
import type { Option } from './command.ts'
import type { Input } from './input.ts'

/** Why something is done, for those who read its history. */
export const reasonOption: Option = { value: 'TEXT', help: 'The reason, for the history.' }

/** Who runs this process, `user@host`, and why by the option "reason". */
export function actorOf(input: Input): Actor {
  return { actor: userAtHost(), reason: input.text('reason') }
}

/** Who runs this process. */
export function userAtHost(): string {
  return `${userName()}@${hostname()}`
}

/** A process may run under a number that has no name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? ''}`.trim()
  }
}
