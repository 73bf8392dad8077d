import { capitalized } from '../kernel/values/capitalized.ts'
import type { Argument, CommandHelp, Option } from './command.ts'
import type { CommandEntry } from './commands.ts'
import { findCommand, groupOf } from './find-command.ts'
import { commonOptions } from './input.ts'
import { readHelp } from './read-help.ts'
import { wrap } from './text/wrap-text.ts'

const [narrowest, widest] = [60, 100]

/** How wide lines may be: as the screen, within limits. */
function pageWidth(): number {
  const { isTTY, columns } = process.stdout
  return isTTY ? Math.max(narrowest, Math.min(widest, columns ?? widest)) : widest
}

/**
 * The help for the words of a command line: of a command, of a group such as `dataset`, or of all commands where there
 * are no words.
 *
 * @throws LockstepError `USAGE`
 */
export async function helpFor(commands: readonly CommandEntry[], words: readonly string[]): Promise<string> {
  const [first, second] = words
  if (first === undefined) return generalHelp(await readHelp(commands))
  const group = await readHelp(second === undefined ? groupOf(commands, first) : [])
  if (group.length > 0 && !commands.some(({ name }) => name === first)) return generalHelp(group)
  const texts = (await readHelp([findCommand(commands, words).entry])).map((command) => commandHelp(command))
  return [...texts, ...(group.length === 0 ? [] : ['', 'See also:', ...summaries(group)])].join('\n')
}

/** The commands of the first hour. */
const firstCommands = ['init', 'dev', 'doctor', 'plan', 'apply', 'ingest', 'model push', 'materialize', 'serve', 'status']

/** The text of `lockstep` without words, which fits a screen. */
export async function startHelp(commands: readonly CommandEntry[]): Promise<string> {
  return [
    'Lockstep: a feature store with model serving.',
    '',
    'Usage: lockstep COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    'Commands to begin with:',
    ...summaries(await readHelp(commands.filter(({ name }) => firstCommands.includes(name)))),
    '',
    'All commands: lockstep help',
    'Help for one command: lockstep COMMAND --help',
  ].join('\n')
}

/** The first words of all commands by subject, as docs/cli.md lists them. */
export const subjects: readonly (readonly [subject: string, words: readonly string[]])[] = [
  ['start', ['init', 'dev', 'doctor', 'completion']],
  ['definitions', ['migrate', 'plan', 'apply', 'prune', 'status', 'sign', 'audit']],
  ['finding', ['list', 'show', 'search', 'lineage', 'features']],
  ['rows', ['ingest', 'source', 'dead-letter', 'erase']],
  ['training', ['dataset', 'training', 'export-plan', 'partition']],
  ['online store', ['materialize', 'backfill', 'worker', 'job']],
  ['models', ['model', 'rollout', 'shadow', 'experiment']],
  ['predictions in bulk', ['predict', 'batch', 'pipeline']],
  ['serving', ['serve', 'ui', 'keys', 'openapi']],
  ['watching', ['stats', 'cost', 'drift', 'baseline', 'quality', 'parity', 'report', 'monitor', 'alert']],
  ['answers', ['predictions', 'outcome', 'explain']],
]

/** The text of `lockstep help`, or of the help of a group. @param width of the lines, but for names that are longer */
export function generalHelp(commands: readonly CommandHelp[], width = pageWidth()): string {
  return [
    'Lockstep: a feature store with model serving.',
    '',
    'Usage: lockstep COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    ...bySubject(commands).flatMap(([subject, members]) => [`${capitalized(subject)}:`, ...summaries(members, width), '']),
    'Options: --json, --help or -h (for each command), --version or -v',
    '',
    ...wrap('Without LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL, all data is in .lockstep (LOCKSTEP_DIR).', width),
    'Help for one command: lockstep COMMAND --help',
  ].join('\n')
}

function bySubject(commands: readonly CommandHelp[]): (readonly [subject: string, commands: readonly CommandHelp[]])[] {
  return subjects
    .map(([subject, words]) => [subject, commands.filter(({ name }) => words.includes(name.split(' ')[0] ?? ''))] as const)
    .filter(([, members]) => members.length > 0)
}

/** The text of `lockstep COMMAND --help`. @param width as of `generalHelp` */
export function commandHelp(command: CommandHelp, width = pageWidth()): string {
  const options = Object.entries({ ...command.options, ...commonOptions })
  return [
    `Usage: lockstep ${usageOf(command)} [OPTIONS]`,
    '',
    ...wrap(`${command.summary}.`, width),
    ...(command.description ?? []).flatMap((paragraph) => ['', ...wrap(paragraph, width)]),
    ...((command.arguments ?? []).length > 0
      ? [
          '',
          'Arguments:',
          ...pairs(
            (command.arguments ?? []).map(({ name, help }) => [name, help]),
            width,
          ),
        ]
      : []),
    '',
    'Options:',
    ...pairs(
      options.map(([name, option]) => [`--${name}${option.value !== undefined ? ` ${option.value}` : ''}`, help(option)]),
      width,
    ),
    '',
    'Example:',
    `  ${command.example}`,
  ].join('\n')
}

function help({ help: text, needed, many }: Option): string {
  return [text, ...(needed === true ? ['Needed.'] : []), ...(many === true ? ['May be repeated.'] : [])].join(' ')
}

function summaries(commands: readonly CommandHelp[], width = pageWidth()): string[] {
  return pairs(
    commands.map((command) => [usageOf(command), command.summary]),
    width,
  )
}

function usageOf(command: CommandHelp): string {
  const needed = Object.entries(command.options ?? {}).flatMap(([name, option]) =>
    option.needed === true ? [`--${name} ${option.value ?? ''}`] : [],
  )
  return [command.name, ...(command.arguments ?? []).map(argumentUsage), ...needed].join(' ')
}

function argumentUsage({ name, takes }: Argument): string {
  if (takes === 'many') return `[${name}…]`
  if (takes === 'some') return `${name}…`
  return takes === 'optional' ? `[${name}]` : name
}

/** Name and text in two columns. A name that is too long has its own line. */
function pairs(rows: readonly (readonly [string, string])[], page: number): string[] {
  const width = Math.min(page < 80 ? 20 : 30, Math.max(...rows.map(([name]) => name.length)))
  return rows.flatMap(([name, text]) => {
    const lines = wrap(text, page - 4 - width)
    const rest = lines.slice(name.length > width ? 0 : 1).map((line) => `  ${' '.repeat(width)}  ${line}`)
    return name.length > width ? [`  ${name}`, ...rest] : [`  ${name.padEnd(width)}  ${lines[0] ?? ''}`.trimEnd(), ...rest]
  })
}
