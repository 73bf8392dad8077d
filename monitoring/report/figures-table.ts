import type { Figure } from '../quality/figure.ts'
import { figureTitle } from '../quality/figure-titles.ts'
import type { JudgedGroup } from '../quality/judge-predictions.ts'
import { type Markup, element } from './markup.ts'
import { type Cell, table } from './page.ts'
import { shortNumber } from './scale.ts'

export interface LabelledGroup {
  readonly label: string
  readonly group: JudgedGroup
}

/**
 * The figures of groups. One sentence in place of a table if there is no figure at all, as all have the same reason.
 */
export function figuresTable(head: string, groups: readonly LabelledGroup[]): Markup {
  const [first] = groups
  const names = Object.keys(first?.group.figures ?? {})
  const all = groups.flatMap(({ group }) => Object.values(group.figures))
  if (all.every(({ value }) => value === null))
    return element('p', { class: 'muted' }, `No figures: ${all[0]?.reason ?? 'nothing is judged'}.`)
  return table(
    [head, 'judged', ...names.map(figureTitle)],
    groups.map(({ label, group }): Cell[] => [label, group.judged, ...cellsOf(names.map((name) => group.figures[name]))]),
  )
}

/** A reason that all figures of a group share is said once. */
function cellsOf(figures: readonly (Figure | undefined)[]): Cell[] {
  const [first, ...others] = figures
  const isOne = first?.value === null && others.every((each) => each?.value === null && each.reason === first.reason)
  return isOne ? [cellOf(first), ...others.map(() => '')] : figures.map(cellOf)
}

/** The business figures of groups: the mean with its interval, the predictions behind it, and the total. */
export function businessTable(head: string, groups: readonly LabelledGroup[]): readonly Markup[] {
  const lines = groups.flatMap(({ label, group }) =>
    Object.entries(group.business).map(([name, figure]): Cell[] => [name, label, cellOf(figure), figure.n, shortNumber(figure.total)]),
  )
  return lines.length === 0 ? [] : [table(['business figure', head, 'mean for each prediction', 'predictions', 'total'], lines)]
}

/** `0.812 (0.79 to 0.83)`, or why there is none. */
export function cellOf(figure: Figure | undefined): Cell {
  if (figure === undefined) return ''
  if (figure.value === null) return { text: `none: ${figure.reason ?? ''}`, tone: 'muted' }
  if (figure.low === null || figure.high === null) return shortNumber(figure.value)
  return `${shortNumber(figure.value)} (${shortNumber(figure.low)} to ${shortNumber(figure.high)})`
}
