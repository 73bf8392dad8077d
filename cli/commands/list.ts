import { LockstepError } from '../../kernel/errors.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import type { Entry, EntryKind } from '../../registry/find/entry.ts'
import { plurals } from '../../registry/find/find-entry.ts'
import type { Command } from '../command.ts'
import { finderOf } from '../find/finder.ts'
import { counted, shortId } from '../text/human.ts'
import { serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const listCommand: Command = {
  name: 'list',
  summary: 'List entities, sources, views, services, models, outcomes and training sets',
  description: ['Shows each name once, with its versions. Pruned definitions are not listed.'],
  arguments: [{ name: 'KIND', help: `Only ${Object.keys(plurals).join(', ')}. Default: all.`, takes: 'optional' }],
  options: {
    owner: { value: 'OWNER', help: 'Only what this owner owns.' },
    tag: { value: 'TAG', help: 'Only what has this tag.', many: true },
    server: serverOption,
  },
  example: 'lockstep list views --tag fraud',
  async run(context, input) {
    const [kind] = input.arguments('KIND')
    const filter = { kinds: kind === undefined ? undefined : kindsOf(kind), owner: input.text('owner'), tags: input.texts('tag') }
    const entries = await finderOf(context, input).entries(filter)
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
  const columns: readonly (readonly [string, (entry: Entry) => string])[] = [
    ['NAME', (entry) => `  ${labelText(entry)}`],
    ['USERS', ({ usedBy }) => (usedBy.length === 0 ? '' : String(usedBy.length))],
    ['OWNER', ({ owner }) => owner ?? ''],
    ['TAGS', ({ tags }) => tags.join(', ')],
    ['ABOUT', aboutText],
  ]
  // a column without any value takes no place
  const shown = columns.filter(([, cell]) => entries.some((entry) => cell(entry) !== ''))
  const rows = [...Map.groupBy(entries, ({ kind }) => kind)].flatMap(([kind, of]) => [
    [kindTitles[kind]],
    ...of.map((entry) => shown.map(([, cell]) => cell(entry))),
  ])
  const header = shown.map(([title]) => title)
  return `${table(header, rows, '', width)}\n\n${counted(entries.length, 'entry', 'entries')}. See "lockstep show NAME", "lockstep search TEXT".`
}

const kindTitles: Readonly<Record<EntryKind, string>> = {
  entity: 'entities',
  source: 'sources',
  view: 'feature views',
  onDemand: 'on-demand views',
  service: 'feature services',
  model: 'models',
  outcome: 'outcomes',
  channel: 'channels',
  monitor: 'monitors',
  experiment: 'experiments',
  batch: 'batches',
  pipeline: 'pipelines',
  training: 'trainings',
  dataset: 'training sets',
}

/** `spending@2`; of a training set the first part of its id, which is enough to name it. */
function labelText({ kind, name, version }: Entry): string {
  return kind === 'dataset' ? shortId(name) : version === null ? name : `${name}@${version}`
}

function aboutText({ versions, kind, description, about }: Entry): string {
  const many = versions.length > 4 ? `${versions.length} versions` : `versions ${versions.join(', ')}`
  const texts = [description, versions.length > 1 && kind !== 'model' ? many : null, about]
  return texts.filter((text) => text !== null && text !== '').join(' · ')
}
