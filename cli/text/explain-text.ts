import { durationText, parseDuration } from '../../kernel/values/duration.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { explainPrediction } from '../../serving/features/explain-prediction.ts'
import type { explain } from '../../serving/features/explain.ts'
import { count, counted } from './human.ts'
import { tableOf } from './table.ts'

export type Explained = Awaited<ReturnType<typeof explain>> & Partial<Pick<Awaited<ReturnType<typeof explainPrediction>>, 'prediction'>>
type View = Explained['views'][number]
type Feature = View['features'][number]
type Row = View['notYetVisible'][number]

/** A row, whether it counts, and why. */
interface Judged {
  readonly row: Row
  readonly counts: string
}

/** For people: the value of each feature, and its rows with their times, and why each counts or not. */
export function explainedText(explained: Explained): string {
  const { asOf, prediction, views } = explained
  const made = onDemandText('onDemand' in explained ? explained.onDemand : null)
  return [
    ...(prediction === undefined ? [] : [predictionText(prediction, asOf)]),
    ...views.map((view) => viewText(view, asOf)),
    ...(made === '' ? [] : [made]),
  ].join('\n\n')
}

function predictionText({ id, model, version, at, outputs }: NonNullable<Explained['prediction']>, asOf: string): string {
  return `prediction ${id} of ${model}@${version}, answered at ${at} as of ${asOf}: ${JSON.stringify(outputs)}`
}

function viewText(view: View, asOf: string): string {
  const { visible, notYetVisible, dropped } = view.rows
  const as = view.alias === undefined ? '' : ` as ${view.alias}`
  const late = view.notYetVisible.map((row) => ({ row, counts: lateText(row, asOf) }))
  return [
    [
      `${view.view}${as} of ${JSON.stringify(view.key)} as of ${asOf}`,
      `Of its rows in the source ${view.source}, ${count(visible)} can count, and ${count(notYetVisible)} cannot yet.${dropped === 0 ? '' : ` The transform drops ${counted(dropped, 'row')}.`}`,
    ].join('\n'),
    ...view.features.map(featureText),
    ...(late.length === 0
      ? []
      : [
          `These rows cannot count yet${late.length < notYetVisible ? ` (the first ${late.length} of ${count(notYetVisible)})` : ''}:\n${rowsText(late)}`,
        ]),
  ].join('\n\n')
}

function featureText(feature: Feature): string {
  const status = feature.status === 'PRESENT' ? '' : `, status ${feature.status}`
  const where = 'where' in feature ? ` Its "where" (${feature.where}) leaves out ${counted(feature.excludedByWhere ?? 0, 'row')}.` : ''
  const rows = judgedRows(feature)
  return [
    `${feature.feature} = ${JSON.stringify(feature.value)}${status}`,
    `  ${howText(feature)}${where}`,
    ...(rows.length === 0 ? [] : [rowsText(rows)]),
  ].join('\n')
}

/** How the value comes about. */
function howText(feature: Feature): string {
  if (feature.kind === 'latest') {
    if (feature.candidates === 0) return 'No row can give the value.'
    const age = feature.ttl === undefined ? '' : ` It may be at most ${inWords(feature.ttl)} old.`
    return `The newest of ${counted(feature.candidates, 'row')} gives the value.${age}`
  }
  const listed = feature.newest.length < feature.counted ? `, the newest ${feature.newest.length} of which are` : ''
  const over = feature.window === undefined ? 'all rows' : `the last ${inWords(feature.window)}`
  const what = `${feature.aggregate}${feature.column === null ? '' : ` of ${feature.column}`} over ${over}`
  const { span } = feature
  const outside =
    span === undefined ? '' : ` The window begins at ${span.from}; ${counted(feature.outsideWindow ?? 0, 'row is', 'rows are')} older.`
  return `${what}: ${counted(feature.counted, 'row counts', 'rows count')}${listed === '' ? '' : `${listed} listed`}.${outside}`
}

function judgedRows(feature: Feature): Judged[] {
  if (feature.kind === 'latest') {
    const { winner, beaten } = feature
    return [...(winner === null ? [] : [{ row: winner, counts: 'yes' }]), ...beaten.map((row) => ({ row, counts: `no: ${row.why}` }))]
  }
  if (feature.winner === undefined) return feature.newest.map((row) => ({ row, counts: 'yes' }))
  const { winner } = feature
  const others = feature.newest.filter(({ row, transaction }) => row !== winner.row || transaction !== winner.transaction)
  return [{ row: winner, counts: 'yes: it gives the value' }, ...others.map((row) => ({ row, counts: 'yes' }))]
}

function lateText({ eventTime, knownTime, visibleAt }: Row, asOf: string): string {
  const isAfter = (time: string | null): boolean => time !== null && parseTimestamp(time) > parseTimestamp(asOf)
  if (visibleAt === null) return 'no, never: it has no known time'
  if (isAfter(eventTime)) return 'no: it happens later'
  return isAfter(knownTime) || knownTime === null ? 'no: it is known later' : 'no: the view is refreshed later'
}

function rowsText(rows: readonly Judged[]): string {
  const delayed = rows.some(({ row }) => row.visibleAt !== row.knownTime)
  const table = tableOf<Judged>(
    [
      ['EVENT TIME', ({ row }) => row.eventTime ?? ''],
      ['KNOWN', ({ row }) => row.knownTime ?? 'never'],
      ['COUNTS FROM', ({ row }) => (delayed ? (row.visibleAt ?? 'never') : '')],
      ['VALUE', ({ row }) => (row.value === undefined ? '' : JSON.stringify(row.value))],
      ['ROW', ({ row }) => (row.row === undefined ? '' : String(row.row))],
      ['COUNTS', ({ counts }) => counts],
    ],
    rows,
  )
  return table
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}

/** @param onDemand what `explain` has of the features that are computed from these */
function onDemandText(onDemand: unknown): string {
  if (!Array.isArray(onDemand)) return ''
  const names = onDemand.filter(isRecord).map(({ feature, view }) => `${String(feature)} (${String(view)})`)
  return `Computed from these values and those of the request: ${names.join(', ')}.`
}

function inWords(duration: string): string {
  return durationText(parseDuration(duration))
}
