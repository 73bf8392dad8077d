import { figureTitle } from '../../monitoring/quality/figure-titles.ts'
import type { Comparison, EvaluatedFigures, Evaluation } from '../../serving/evaluation/evaluate-versions.ts'
import { count, counted, digits, intervalText, shortId } from './human.ts'
import { figureCell, figuresOfGroups, intervalNotes } from './quality-text.ts'
import { table } from './table.ts'

/** The figures of versions side by side, their differences, and those of groups. */
export function evaluationText(evaluation: Evaluation): string {
  const { model, output, label, threshold, rows, files, dataset, versions, comparisons, notes } = evaluation
  const decided = threshold === null ? '' : `, positive from ${threshold} on`
  const where =
    dataset === null ? files.join(', ') : `the training set ${shortId(dataset.id)}${dataset.part === null ? '' : `, part ${dataset.part}`}`
  const said = [...notes.map((note) => `note: ${note}`), ...intervalNotes(versions.map(({ total }) => total))]
  return [
    `${model}: "${output}" against the label "${label}"${decided}`,
    `${counted(rows, 'row')} of ${where}`,
    ...versions.flatMap(leftOutText),
    '',
    versionsText(versions),
    ...comparisons.flatMap((comparison) => ['', comparisonText(comparison)]),
    ...(versions.some(({ groups }) => groups.length > 0) ? ['', groupsText(versions)] : []),
    ...(versions.some(({ isFull }) => isFull)
      ? ['', 'note: there are more groups than 200; the others are counted together as (other).']
      : []),
    ...(said.length === 0 ? [] : ['', ...said]),
  ].join('\n')
}

function leftOutText({ name, refused, total: { withoutOutcome, unreadable } }: EvaluatedFigures): string[] {
  const left = [
    ...(refused === 0 ? [] : [`${count(refused)} without a prediction, because a required feature is missing or the run failed`]),
    ...(withoutOutcome === 0 ? [] : [`${count(withoutOutcome)} without a label`]),
    ...(unreadable === 0 ? [] : [`${count(unreadable)} with an output or label that cannot be compared`]),
  ]
  return left.length === 0 ? [] : [`left out of ${name}: ${left.join('; ')}`]
}

function versionsText(versions: readonly EvaluatedFigures[]): string {
  const names = Object.keys(versions[0]?.total.figures ?? {})
  const [reason = null, ...others] = new Set(versions.flatMap(({ total }) => Object.values(total.figures).map(({ reason: why }) => why)))
  if (reason !== null && others.length === 0) return `No figure can be computed: ${reason}.`
  const reasonsOf = (name: string): string => [...new Set(versions.flatMap(({ total }) => total.figures[name]?.reason ?? []))].join('; ')
  return table(
    ['FIGURE', ...versions.map(({ name }) => name.toUpperCase()), ''],
    [
      ['rows', ...versions.map(({ total }) => count(total.judged)), ''],
      ...names.map((name) => [figureTitle(name), ...versions.map(({ total }) => figureCell(total.figures[name])), reasonsOf(name)]),
    ],
  )
}

function comparisonText({ name, against, rows, figures }: Comparison): string {
  return [
    `${name} against ${against}, on ${counted(rows, 'row')} that both answer:`,
    table(
      ['FIGURE', 'DIFFERENCE', '95 % INTERVAL', ''],
      Object.entries(figures).map(([figure, { value, low, high, verdict, reason }]) => [
        figureTitle(figure),
        value === null ? '-' : digits(value),
        intervalText(low, high),
        reason ?? (verdict === 'unclear' ? 'no clear difference' : verdict),
      ]),
    ),
  ].join('\n')
}

function groupsText(versions: readonly EvaluatedFigures[]): string {
  const first = versions[0]?.groups[0]
  const splits = Object.keys(first?.by ?? {})
  const shown = figuresOfGroups.filter((name) => first !== undefined && name in first.figures)
  return table(
    ['VERSION', ...splits.map((name) => name.toUpperCase()), 'ROWS', ...shown.map((name) => figureTitle(name).toUpperCase())],
    versions.flatMap(({ name, groups }) =>
      groups.map(({ by, judged, figures }) => [
        name,
        ...splits.map((split) => by[split] ?? ''),
        count(judged),
        ...shown.map((figure) => figureCell(figures[figure])),
      ]),
    ),
  )
}
