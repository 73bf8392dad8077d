import { LockstepError } from '../kernel/errors.ts'
import { didYouMean } from '../kernel/did-you-mean.ts'
import type { CommandEntry } from './commands.ts'

/**
 * The command whose name the words begin with, and the words that follow. `--json` may stand before the name.
 *
 * @throws LockstepError `USAGE`, suggesting the nearest command
 */
export function findCommand(
  commands: readonly CommandEntry[],
  words: readonly string[],
): { readonly entry: CommandEntry; readonly rest: readonly string[] } {
  if (words[0] === '--json') {
    const { entry, rest } = findCommand(commands, words.slice(1))
    return { entry, rest: ['--json', ...rest] }
  }
  const named = commands.filter(({ name }) => name.split(' ').every((part, i) => words[i] === part))
  const [entry] = named.toSorted((a, b) => b.name.length - a.name.length) // "ingest list" before "ingest"
  if (entry !== undefined) return { entry, rest: words.slice(entry.name.split(' ').length) }
  const [first = ''] = words
  const group = groupOf(commands, first)
  const asked = group.length > 0 ? words.slice(0, 2).join(' ') : first
  const near = didYouMean(
    asked,
    commands.map(({ name }) => name),
  )
  const hint = group.length > 0 ? ` There is ${group.map(({ name }) => `"${name}"`).join(', ')}.` : `${near} See "lockstep help".`
  throw new LockstepError('USAGE', `There is no command "${asked}".${hint}`, { details: { command: asked } })
}

/** The commands of two words whose first is `first`: `dataset create`, `dataset list`. */
export function groupOf(commands: readonly CommandEntry[], first: string): readonly CommandEntry[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `))
}
