import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import type { DriftJson } from '../../monitoring/drift/drift-json.ts'
import { count, counted, shortId } from './human.ts'
import { table } from './table.ts'

type Column = DriftJson['columns'][number]

/** A drift report for people: what it compares, a line by column, and the causes of what drifted. */
export function driftText(report: DriftJson): string {
  const { model, version, window, rows, columns, effects, notes } = report
  const causes = columns.filter((column) => column.causes.length > 0)
  return [
    `${model}@${version} from ${short(window.from)} to ${short(window.to)} UTC: ${counted(rows, 'row')}, compared with ${baselineText(report)}.`,
    verdictText(report),
    '',
    table(['COLUMN', 'DRIFT', 'HARM', 'PSI', 'CHANCE', 'P', 'MISSING', 'OUTSIDE', 'MEAN'], columns.map(cells)),
    ...(causes.length === 0 ? [] : ['', 'Likely causes:', ...causes.flatMap(causeLines)]),
    ...(effects === null || columns.every(({ harm }) => harm === null) ? [] : ['', harmText(effects)]),
    ...untestedLines(columns),
    ...notes.map((note) => `note: ${note}`),
  ].join('\n')
}

function verdictText({ columns, drifted, alpha, minPsi }: DriftJson): string {
  const tested = columns.filter(({ untested }) => untested === null).length
  if (tested === 0) return 'No column could be tested.'
  return `${count(drifted.length)} of ${counted(tested, 'tested column')} drifted (adjusted p below ${alpha}, and PSI at least ${minPsi} above chance).`
}

const earlierTexts: Readonly<Record<string, string>> = {
  previous: 'the time before',
  'same-hour-yesterday': 'the same time yesterday',
  'same-hour-last-week': 'the same time last week',
}

function baselineText({ baseline }: DriftJson): string {
  const { kind, origins, window, rows } = baseline
  if (window !== null) return `${earlierTexts[kind] ?? kind}, from ${short(window.from)} to ${short(window.to)} (${counted(rows, 'row')})`
  const [origin] = origins
  if (origin === undefined) return 'its baseline'
  if (origin.kind === 'served') return `rows that were served from ${short(origin.from)} to ${short(origin.to)}`
  return `the training set ${shortId(origin.dataset)} (${counted(rows, 'row')})`
}

function cells({
  column,
  drifted,
  untested,
  harm,
  distances,
  test,
  adjustedP,
  missing,
  outOfRange,
  otherCategories,
  mean,
  rows,
}: Column): string[] {
  const isCounted = rows.window > 0
  const outside = outOfRange === null ? (otherCategories?.window ?? null) : outOfRange.below + outOfRange.above
  return [
    column,
    drifted ? 'yes' : untested === null ? 'no' : '?',
    number(harm),
    number(distances?.psi ?? null),
    number(test?.psiByChance ?? null),
    adjustedP === null ? '' : adjustedP < 1e-4 ? '<0.0001' : number(adjustedP),
    change(share(missing.baseline), share(missing.window)),
    outside === null || !isCounted ? '' : formatShare(outside),
    mean.baseline === null && mean.window === null ? '' : change(number(mean.baseline), number(mean.window)),
  ]
}

function causeLines({ column, causes }: Column): string[] {
  return causes.map(({ kind, text }, i) => `  ${i === 0 ? column : ' '.repeat(column.length)}  ${kind}: ${text}`)
}

function harmText({ output, unit, rows, from }: NonNullable<DriftJson['effects']>): string {
  const measured = from === 'training set' ? 'the training set' : 'logged predictions'
  return `HARM: how far "${output}" moves if the feature is permuted (${unit === 'absolute' ? 'mean absolute change' : 'share of rows'}, ${counted(rows, 'row')} of ${measured}), times the share of rows that changed bins. Of an output: how far its mean moved.`
}

function untestedLines(columns: readonly Column[]): string[] {
  const byReason = Map.groupBy(
    columns.filter(({ untested }) => untested !== null),
    ({ untested }) => untested ?? '',
  )
  return [...byReason].map(([reason, of]) => {
    const names = of.length === columns.length ? 'all columns' : of.map(({ column }) => column).join(', ')
    return `not tested: ${names}. ${reason}`
  })
}

function change(before: string, after: string): string {
  return before === after ? before : `${before || 'none'} → ${after || 'none'}`
}

function share(value: number | null): string {
  return value === null ? '' : formatShare(value)
}

function number(value: number | null): string {
  return value === null ? '' : formatNumber(value)
}

function short(time: string): string {
  return time.slice(0, 16).replace('T', ' ')
}
