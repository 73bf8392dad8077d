import { formatShare } from '../../kernel/values/format-number.ts'
import type { ModelReport } from '../../monitoring/report/model-report.ts'
import { count, counted } from './human.ts'

/** The page of a report, in a few lines. */
export function reportText({ model, champion, traffic, drift, quality, freshness, alerts }: ModelReport): string {
  const failed = traffic.requests === 0 ? '' : `, ${formatShare(traffic.failed / traffic.requests)} failed`
  const p99 = traffic.p99Ms === null ? '' : `, p99 ${traffic.p99Ms.toFixed(1)} ms`
  const late = freshness.flatMap(({ view, late: text }) => (text === null ? [] : [`late      ${view}: ${text}`]))
  return [
    `${model}, ${champion === null ? 'no version serves by default' : `version ${champion} serves by default`}`,
    `traffic   ${counted(traffic.requests, 'request')}${failed}${p99}`,
    ...(quality.value === null
      ? [`quality   not known: ${quality.reason}`]
      : quality.value.map(
          ({ byVersion: { outcome, total } }) =>
            `quality   ${outcome}: ${counted(total.judged, 'mature prediction')} judged, ${count(total.immature)} not mature${mainFigure(total.figures)}`,
        )),
    ...(drift.value === null
      ? [`drift     not known: ${drift.reason}`]
      : drift.value.drifted.length === 0
        ? [`drift     none in ${counted(drift.value.columns.length, 'column')}`]
        : drift.value.columns.flatMap(({ column, drifted, causes }) =>
            drifted ? [`drift     ${column}: ${causes[0]?.text ?? 'the cause is not known'}`] : [],
          )),
    ...(late.length === 0 ? [`fresh     ${counted(freshness.length, 'view')} on time`] : late),
    `alerts    ${counted(alerts.length, 'alert')}, of which ${count(alerts.filter(({ state }) => state === 'firing').length)} still fire`,
  ].join('\n')
}

function mainFigure(figures: Readonly<Record<string, { readonly value: number | null }>>): string {
  const found = (['auc', 'rmse', 'accuracy'] as const).find((name) => (figures[name]?.value ?? null) !== null)
  return found === undefined
    ? ''
    : `, ${found === 'auc' ? 'AUC' : found === 'rmse' ? 'RMSE' : found} ${figures[found]?.value?.toPrecision(3)}`
}
