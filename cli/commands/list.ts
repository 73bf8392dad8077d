import { LockstepError } from '../../kernel/errors.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import type { Entry, EntryKind } from '../../registry/find/entry.ts'
import { entriesOf, filterEntries, nodeNames } from '../../registry/find/entry.ts'
import { plurals } from '../../registry/find/find-entry.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'
import { table } from '../table.ts'

export const listCommand: Command = {
  name: 'list',
  summary: 'List entities, sources, views, services, models and training sets',
  description: ['Shows each name once, with its versions. Pruned definitions are not listed.'],
  arguments: [{ name: 'KIND', help: `Only ${Object.keys(plurals).join(', ')}. Default: all.`, takes: 'optional' }],
  options: {
    owner: { value: 'OWNER', help: 'Only what this owner owns.' },
    tag: { value: 'TAG', help: 'Only what has this tag.', many: true },
  },
  example: 'lockstep list views --tag fraud',
  async run(context, input) {
    const [kind] = input.arguments('KIND')
    const filter = { kinds: kind === undefined ? undefined : kindsOf(kind), owner: input.text('owner'), tags: input.texts('tag') }
    const entries = filterEntries(entriesOf(await readInventory(await context.database())), filter)
    return { json: { entries }, text: listText(entries, context.terminal.width) }
  },
}

function kindsOf(text: string): readonly EntryKind[] {
  const name = Object.hasOwn(plurals, text) ? text : Object.keys(plurals).find((plural) => plural === `${text}s`)
  const kinds = plurals[name ?? (text === 'entity' ? 'entities' : '')]
  if (kinds !== undefined) return kinds
  const names = Object.keys(plurals)
  throw new LockstepError(
    'USAGE',
    `There is no kind "${text}".${didYouMean(text, names)} Write one of ${names.join(', ')}, or none for all. "lockstep search ${text}" finds names and descriptions.`,
  )
}

function listText(entries: readonly Entry[], width: number | null): string {
  if (entries.length === 0) return 'Nothing is listed: the registry has no such definition. "lockstep apply FILE" adds definitions.'
  const rows = entries.map((entry) => ({ entry, versions: versionsText(entry), tags: entry.tags.join(', ') }))
  const columns: readonly (readonly [string, (row: (typeof rows)[number]) => string])[] = [
    ['KIND', ({ entry }) => nodeNames[entry.kind]],
    ['NAME', ({ entry }) => entry.name],
    ['VERSIONS', ({ versions }) => versions],
    ['USED BY', ({ entry }) => (entry.usedBy.length === 0 ? '' : String(entry.usedBy.length))],
    ['OWNER', ({ entry }) => entry.owner ?? ''],
    ['TAGS', ({ tags }) => tags],
    ['ABOUT', ({ entry }) => [entry.description, entry.about].filter((text) => text !== null && text !== '').join(' · ')],
  ]
  // a column without any value takes no place
  const shown = columns.filter(([, cell]) => rows.some((row) => cell(row) !== ''))
  const header = shown.map(([title]) => title)
  const total = `${counted(entries.length, 'entry', 'entries')}. "lockstep show NAME" shows one, "lockstep search TEXT" finds features.`
  return `${table(
    header,
    rows.map((row) => shown.map(([, cell]) => cell(row))),
    '',
    width,
  )}\n\n${total}`
}

/** `1, 2`; of many: `1 to 40`, the newest `38, 39, 40`. */
function versionsText({ versions }: Entry): string {
  return versions.length <= 4 ? versions.join(', ') : `${versions.length}, newest ${versions.at(-1)}`
}
