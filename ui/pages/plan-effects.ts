import type { LineageData } from '../../serving/dashboard/contract/lineage.ts'
import { shellText } from '../parts/shell-text.ts'

/** What a plan does to something, the worst first. */
export const effects = ['refused', 'breaks', 'removed', 'recomputed', 'affected', 'new version', 'changed', 'unchanged'] as const
export type Effect = (typeof effects)[number]

/** What a pasted plan says of one definition. */
export interface PlannedChange {
  /** `view airport_delays@1`, as nodes of the lineage are called. */
  readonly key: string
  readonly kind: string
  readonly label: string
  readonly effect: Effect
  readonly says: string
}

export interface Plan {
  /** The revision of the registry that it was made at; null: it does not say. */
  readonly revision: number | null
  readonly changes: readonly PlannedChange[]
  /** Why `apply` would refuse it. */
  readonly refusals: readonly Refusal[]
  /** The command that raises versions where that is enough; null: there are none to raise. */
  readonly raise: string | null
  /** What it breaks, each thing once. */
  readonly breaks: readonly Breakage[]
  /** The keys of those. */
  readonly broken: readonly string[]
}

/** A reason for which `apply` would refuse the plan. */
export interface Refusal {
  readonly what: string
  /** Each difference on a line. */
  readonly details: readonly string[]
  /** null: it is a part of `what`. */
  readonly todo: string | null
}

export interface Breakage {
  /** In words: `model "delay" version 3`. */
  readonly broken: string
  /** In words: `feature view "airport_delays@1"`. */
  readonly causes: readonly string[]
}

const ofStatus: Readonly<Record<string, Effect>> = {
  conflict: 'refused',
  added: 'new version',
  revived: 'new version',
  changed: 'changed',
  removed: 'removed',
  unchanged: 'unchanged',
  absent: 'unchanged',
}

type Fields = Readonly<Record<string, unknown>>

/** Characters of a plan with which a browser stays quick. */
const maxText = 5_000_000

/**
 * Reads what `lockstep plan --json` prints.
 *
 * @throws Error that says what is wrong with the text
 */
export function readPlan(text: string): Plan {
  if (text.length > maxText) throw new Error('This text is longer than 5,000,000 characters, too long for a plan of this page.')
  let plan: unknown
  try {
    plan = JSON.parse(text)
  } catch {
    throw new Error('This is not JSON. Paste all that "lockstep plan --json" prints.')
  }
  const { changes, problems, breaks, backfills, file, revision } = fieldsOf(plan)
  if (!Array.isArray(changes)) throw new Error('This JSON is no plan: it has no "changes". Paste all that "lockstep plan --json" prints.')
  const rebuilt = new Map(listOf(backfills).map((each) => [textOf(each['view']), textOf(each['reason'])]))
  const isRaised = listOf(problems).some(({ details }) => typeof fieldsOf(details)['nextVersion'] === 'number')
  return {
    revision: typeof revision === 'number' ? revision : null,
    changes: listOf(changes).map((change) => {
      const [kind, label] = [textOf(change['kind']), textOf(change['label'])]
      const status = ofStatus[textOf(change['status'])] ?? 'changed'
      const reason = kind === 'view' ? rebuilt.get(label) : undefined
      const effect = reason !== undefined && (status === 'changed' || status === 'unchanged') ? 'recomputed' : status
      const next = typeof change['nextVersion'] === 'number' ? `Its version must be raised to ${change['nextVersion']}.` : ''
      const summary = textOf(change['summary'])
      const says = [summary === '' ? '' : `${summary}.`, reason === undefined ? '' : `Its history is materialized: ${reason}.`, next]
      return { key: `${kind} ${label}`, kind, label, effect, says: says.filter((each) => each !== '').join(' ') }
    }),
    refusals: listOf(problems).map(refusalOf),
    raise: isRaised && typeof file === 'string' ? `lockstep plan ${shellText(file)} --bump --write` : null,
    breaks: [...Map.groupBy(listOf(breaks), (each) => textOf(each['broken']))].map(([broken, of]) => ({
      broken,
      causes: [...new Set(of.map((each) => textOf(each['cause'])))],
    })),
    broken: listOf(breaks).flatMap((each) => keyOf(textOf(each['broken']))),
  }
}

/** A plan that removes one definition alone. @param key `view airport_delays@1` */
export function removalOf(key: string): Plan {
  const [kind = '', ...rest] = key.split(' ')
  const change: PlannedChange = { key, kind, label: rest.join(' '), effect: 'removed', says: '' }
  return { revision: null, changes: [change], refusals: [], raise: null, breaks: [], broken: [] }
}

/** A message of several lines ends with what to do. */
function refusalOf({ message }: Fields): Refusal {
  const [what = '', ...lines] = textOf(message)
    .split('\n')
    .map((line) => line.trim())
  return { what, details: [...new Set(lines.slice(0, -1))], todo: lines.at(-1) ?? null }
}

/** Characters of a query with which a request's headers stay small. */
const maxQuery = 6000

/**
 * The query for what is made from the definitions that the plan changes. `isCut`: there are too many for one request.
 */
export function impactQuery({ changes }: Pick<Plan, 'changes'>): { readonly query: string; readonly isCut: boolean } {
  const keys = changes.filter(({ effect }) => effect !== 'unchanged').map(({ key }) => key)
  let length = 0
  const end = keys.findIndex((key) => (length += new URLSearchParams({ of: `${key}\n` }).toString().length) > maxQuery)
  const taken = end < 0 ? keys : keys.slice(0, end)
  return { query: new URLSearchParams({ of: taken.join('\n') }).toString(), isCut: end >= 0 }
}

/** What happens to each node: what the plan says of it, else that something it is made from changes. */
export function effectsOf(plan: Plan, { edges }: Pick<LineageData, 'edges'>): ReadonlyMap<string, Effect> {
  const found = new Map<string, Effect>(plan.changes.map(({ key, effect }) => [key, effect]))
  for (const key of plan.broken) if (found.get(key) !== 'refused') found.set(key, 'breaks')
  const made = Map.groupBy(edges, ({ from }) => from)
  const spreading = plan.changes
    .filter(({ effect }) => ['refused', 'removed', 'recomputed'].includes(effect))
    .map(({ key }) => key)
    .concat(plan.broken)
  for (let from = spreading.pop(); from !== undefined; from = spreading.pop()) {
    for (const { to } of made.get(from) ?? []) {
      const before = found.get(to)
      if (before !== undefined && before !== 'unchanged' && before !== 'changed') continue
      found.set(to, 'affected')
      spreading.push(to)
    }
  }
  return found
}

/** What it means for something that a model which can no longer answer is a part of it. */
const withoutModel: Readonly<Record<string, string>> = {
  experiment: 'Variants that are versions of this model can no longer answer.',
  outcome: 'No new predictions come in for it to be compared with.',
  pipeline: 'Its messages wait, because the model cannot answer.',
  batch: 'It fails, because the model cannot answer.',
  monitor: 'The model that it watches can no longer answer.',
}

/** Why each node breaks or is affected: by what it is made from. */
export function reasonsOf(found: ReadonlyMap<string, Effect>, { edges }: Pick<LineageData, 'edges'>): ReadonlyMap<string, string> {
  const inputs = Map.groupBy(edges, ({ to }) => to)
  const reasons = new Map<string, string>()
  for (const [key, effect] of found) {
    if (effect !== 'affected' && effect !== 'breaks') continue
    const [kind = ''] = key.split(' ')
    const from = (inputs.get(key) ?? []).map((edge) => edge.from).filter((each) => !quiet.has(found.get(each) ?? 'unchanged'))
    if (from.length === 0) continue
    const isBroken = from.some((each) => each.startsWith('model ') && found.get(each) === 'breaks')
    const made = from.map((each) => `${each.slice(each.indexOf(' ') + 1)} (${found.get(each) ?? ''})`)
    reasons.set(key, [`By ${made.join(', ')}.`, isBroken ? (withoutModel[kind] ?? '') : ''].filter((text) => text !== '').join(' '))
  }
  return reasons
}

/** Effects that change nothing for what is made from it. */
const quiet: ReadonlySet<Effect> = new Set(['unchanged', 'changed', 'new version'])

/** The kinds that a plan calls by more than their own name. */
const kindsByName: Readonly<Record<string, string>> = { 'feature view': 'view', 'on-demand view': 'onDemand', 'feature service': 'service' }

/**
 * The keys of what a plan calls `model "delay" version 3`, which breaks the model too, or `feature service "flight@1"`.
 */
function keyOf(broken: string): string[] {
  const [, kind = '', name = '', version] = /^([a-z -]+) "([^"]+)"(?: version (\d+))?/.exec(broken) ?? []
  if (name === '') return []
  const key = `${kindsByName[kind] ?? kind} ${name}`
  return version === undefined ? [key] : [`modelVersion ${name}@${version}`, key]
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : []
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
