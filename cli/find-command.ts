import { LockstepError } from '../kernel/errors.ts'
import { didYouMean } from '../registry/nearest.ts'
import type { Command } from './command.ts'

export interface Found {
  readonly command: Command
  /** What follows the command's name. */
  readonly rest: readonly string[]
}

/**
 * The command that the words begin with.
 *
 * @throws LockstepError `USAGE`, with the nearest one
 */
export function findCommand(commands: readonly Command[], words: readonly string[]): Found {
  for (const command of commands) {
    const parts = command.name.split(' ')
    if (parts.every((part, i) => words[i] === part)) return { command, rest: words.slice(parts.length) }
  }
  const [first = ''] = words
  const group = groupOf(commands, first)
  const asked = group.length > 0 ? words.slice(0, 2).join(' ') : first
  const hint =
    group.length > 0
      ? ` There is ${group.map(({ name }) => `"${name}"`).join(', ')}.`
      : `${didYouMean(
          asked,
          commands.map(({ name }) => name),
        )} See "lockstep help".`
  throw new LockstepError('USAGE', `There is no command "${asked}".${hint}`, { details: { command: asked } })
}

/** The commands that are `first` and a second word: `dataset create`, `dataset list`. */
export function groupOf(commands: readonly Command[], first: string): readonly Command[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `))
}
