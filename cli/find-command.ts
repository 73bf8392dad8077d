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
  const hint =
    group.length > 0
      ? `${didYouMean(asked, names(group))} There is ${group.map(({ name }) => `"${name}"`).join(', ')}.`
      : `${nearCommand(commands, words)} See "lockstep help".`
  throw new LockstepError('USAGE', `There is no command "${asked}".${hint}`, { details: { command: asked } })
}

/** Both words may be mistyped, or the first one alone. */
function nearCommand(commands: readonly CommandEntry[], [first = '', second]: readonly string[]): string {
  const both = second === undefined ? '' : didYouMean(`${first} ${second}`, names(commands))
  return both === '' ? didYouMean(first, new Set(names(commands).flatMap((name) => [name, name.split(' ')[0] ?? '']))) : both
}

function names(commands: readonly CommandEntry[]): string[] {
  return commands.map(({ name }) => name)
}

/** The commands of two words whose first is `first`: `dataset create`, `dataset list`. */
export function groupOf(commands: readonly CommandEntry[], first: string): readonly CommandEntry[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `))
}
