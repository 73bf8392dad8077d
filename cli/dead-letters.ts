import { LockstepError } from '../kernel/errors.ts'
import { reasonOption } from './actor.ts'
import type { Argument, Option } from './command.ts'
import type { Input } from './input.ts'
import { serverOption } from './remote/server-option.ts'

/** The arguments and options that choose dead letters. */
export const letterArguments: readonly Argument[] = [
  { name: 'ID', help: 'The ids, as "lockstep dead-letter list" shows them.', takes: 'many' },
]
export const letterOptions: Readonly<Record<string, Option>> = {
  source: { value: 'SOURCE', help: 'All dead letters of this source.' },
  all: { help: 'All dead letters of all sources.' },
  reason: reasonOption,
  server: serverOption,
}

/** Which dead letters a command is about. Without ids and source: all. */
export interface ChosenLetters {
  readonly ids?: readonly number[]
  readonly source?: string
}

/**
 * The dead letters that a command line chooses.
 *
 * @throws LockstepError `USAGE` where it chooses none, or in more than one way
 */
export function chosenLetters(input: Input): ChosenLetters {
  const [given, source, all] = [input.arguments('ID'), input.text('source'), input.flag('all')]
  if ([given.length > 0, source !== undefined, all].filter(Boolean).length !== 1) {
    throw new LockstepError('USAGE', 'Name the dead letters: give ids, or "--source SOURCE", or "--all".')
  }
  if (given.length > 0) return { ids: given.map(letterId) }
  return source === undefined ? {} : { source }
}

/** The same, as a server takes it. */
export function chosenBody(chosen: ChosenLetters, reason: string | undefined): object {
  return { ...(Object.keys(chosen).length === 0 ? { all: true } : chosen), reason }
}

/** @throws LockstepError `USAGE` */
export function letterId(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new LockstepError('USAGE', `"${text}" is not the id of a dead letter; "lockstep dead-letter list" shows the ids.`)
}
