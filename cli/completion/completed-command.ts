import type { CommandHelp } from '../command.ts'
import { commonOptions } from '../input.ts'

/** The completion of one command. */
export interface CompletedCommand {
  readonly name: string
  readonly summary: string
  readonly options: readonly CompletedOption[]
}

export interface CompletedOption {
  /** With its dashes. */
  readonly name: string
  readonly help: string
  /** The name of its value; null: it takes none. */
  readonly value: string | null
  /** Its possible values; empty: anything, such as the name of a file. */
  readonly choices: readonly string[]
}

export function completedCommand({ name, summary, options }: CommandHelp): CompletedCommand {
  return {
    name,
    summary,
    options: Object.entries({ ...options, ...commonOptions }).map(([option, { help, value = null, choices = [] }]) => ({
      name: `--${option}`,
      help,
      value,
      choices,
    })),
  }
}

/**
 * Commands of several words, by all that stands before their last word: `dataset` has `create` and `list`, the empty
 * text has the first words of all commands.
 */
export function nextWords(commands: readonly CompletedCommand[]): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const next = new Map<string, Map<string, string>>()
  for (const { name, summary } of commands) {
    const [first = '', second] = name.split(' ')
    const firsts = next.get('') ?? new Map<string, string>()
    next.set('', firsts)
    // "ingest" describes "ingest list" too; a group without a command of its own is described by its commands
    if (second === undefined) firsts.set(first, summary)
    else {
      const own = next.get(first) ?? new Map<string, string>()
      next.set(first, own.set(second, summary))
      if (!commands.some((each) => each.name === first)) firsts.set(first, [...own.keys()].join(', '))
    }
  }
  return next
}
