import type { ModelReport } from './model-report.ts'
import { type Cell, type Section, table } from './page.ts'
import { shortNumber } from './scale.ts'

export function freshnessSection(views: ModelReport['freshness']): Section {
  return {
    id: 'freshness',
    title: 'Freshness of features',
    note:
      views.length === 0
        ? 'The model reads no online view.'
        : 'As it was when the report was made, and how old the newest row of an entity was in answers of the window (a sample).',
    body:
      views.length === 0
        ? []
        : [
            table(
              [
                'view',
                'behind by',
                'target',
                'newest in answers',
                'median age in answers',
                '95 %',
                'rows waiting',
                'newest row',
                'last run',
                'state',
              ],
              views.map(({ view, lag, freshnessSeconds, newestRowSeconds, lastRunSeconds, late, failing, served }): Cell[] => [
                view,
                seconds(lag?.seconds ?? null),
                seconds(freshnessSeconds),
                seconds(served?.leastSeconds ?? null),
                seconds(served?.medianSeconds ?? null),
                seconds(served?.p95Seconds ?? null),
                lag === null ? '' : lag.rows,
                ago(newestRowSeconds),
                ago(lastRunSeconds),
                stateCell(late, failing !== null, lag !== null),
              ]),
            ),
          ],
  }
}

function stateCell(late: string | null, isFailing: boolean, isKnown: boolean): Cell {
  if (late !== null) return { text: late, tone: 'bad' }
  if (isFailing) return { text: 'its runs fail', tone: 'bad' }
  return isKnown ? { text: 'on time', tone: 'good' } : { text: 'not known', tone: 'muted' }
}

function seconds(value: number | null): string {
  if (value === null) return ''
  if (value < 120) return `${shortNumber(Math.round(value * 10) / 10)} s`
  return value < 7200
    ? `${Math.round(value / 60)} min`
    : value < 172_800
      ? `${Math.round(value / 3600)} h`
      : `${Math.round(value / 86_400)} d`
}

function ago(value: number | null): string {
  return value === null ? '' : `${seconds(value)} ago`
}
