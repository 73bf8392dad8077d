import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Labelling, SplitBy } from './slices.ts'
import { labellingOf, otherLabel, valueLabel } from './slices.ts'

/** A criterion that splits rows. */
export interface SplitRow {
  /** Epoch microseconds; NaN: unknown. */
  readonly at: number
  readonly version: number
  readonly role: string
  /** The values of the columns that splits name, by name. */
  readonly columns: Readonly<Record<string, unknown>>
}

/** Memory is bounded by the number of groups; further ones are counted together. */
const maxGroups = 200

/** Finds the group of a row: the labels of all splits together. */
export interface GroupSplitter<Group> {
  of(row: SplitRow): Group
  /** Groups with their labels, by name of the split, in the order of labels. */
  groups(): { readonly by: Readonly<Record<string, string>>; readonly group: Group }[]
  /** Whether there were more groups than are kept apart. */
  readonly isFull: boolean
}

/** @param first the first rows: from them the bins of numbers are made */
export function createGroupSplitter<Group>(by: readonly SplitBy[], first: readonly SplitRow[], create: () => Group): GroupSplitter<Group> {
  const label = by.map((split) => labelOf(split, first))
  const groups = new Map<string, { readonly labels: readonly string[]; readonly group: Group }>()
  let isFull = false
  return {
    of(row) {
      let labels = label.map((of) => of(row))
      let key = labels.join('\0')
      let found = groups.get(key)
      if (found === undefined && groups.size >= maxGroups) {
        isFull = true
        labels = labels.map(() => otherLabel)
        key = labels.join('\0')
        found = groups.get(key)
      }
      if (found === undefined) groups.set(key, (found = { labels, group: create() }))
      return found.group
    },
    groups: () =>
      [...groups.values()]
        .toSorted((a, b) => compareLabels(a.labels, b.labels))
        .map(({ labels, group }) => ({ by: Object.fromEntries(by.map(({ name }, i) => [name, labels[i] ?? ''])), group })),
    get isFull() {
      return isFull
    },
  }
}

function labelOf(split: SplitBy, first: readonly SplitRow[]): (row: SplitRow) => string {
  switch (split.kind) {
    case 'version':
      return ({ version }) => String(version)
    case 'role':
      return ({ role }) => role
    case 'day':
      return ({ at }) => (Number.isNaN(at) ? valueLabel(null) : formatTimestamp(at).slice(0, 10))
    case 'period':
      return ({ at }) => {
        const index = split.periods.findIndex(({ from, to }) => at >= from && at < to)
        return index < 0 ? otherLabel : String(index)
      }
    case 'column': {
      const of: Labelling = labellingOf(
        split.slice,
        first.map(({ columns }) => columns[split.slice.column]),
      )
      return ({ columns }) => of(columns[split.slice.column])
    }
    default:
      return split satisfies never
  }
}

/** Numbers by value, bins by their lower edge, other labels by text. */
function compareLabels(a: readonly string[], b: readonly string[]): number {
  for (const [i, label] of a.entries()) {
    const against = b[i] ?? ''
    const difference = rankOf(label) - rankOf(against)
    if (!Number.isNaN(difference) && difference !== 0) return difference
    if (label !== against) return label < against ? -1 : 1
  }
  return 0
}

/** The number that a label begins with, `<= 5` before `5 to 10`; NaN: it begins with none. */
function rankOf(label: string): number {
  if (label.startsWith('<= ')) return Number.NEGATIVE_INFINITY
  return Number.parseFloat(label.startsWith('> ') ? label.slice(2) : label)
}
