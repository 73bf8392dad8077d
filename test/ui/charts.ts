import { readFileSync } from 'node:fs'
import { asRecord, isRecord } from '../../kernel/is-record.ts'
import type { Visits } from './visits.ts'

const points = Array.from({ length: 30 }, (_, i) => ({ t: Date.UTC(2001, 6, 1, 11, i), v: i }))

/** An answer of the server in which series that measured nothing have thirty points. */
function asIfMeasured(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(asIfMeasured)
  if (!isRecord(answer)) return answer
  if ('finding' in answer && Array.isArray(answer['series']) && answer['series'].length === 0)
    return { ...answer, series: [{ label: 'measured', unit: 'count', points }] }
  const filled = Object.entries(answer).map(([name, value]) =>
    name === 'points' && Array.isArray(value) && value.every((point) => asRecord(point)['v'] === null)
      ? [name, points]
      : [name, asIfMeasured(value)],
  )
  return Object.fromEntries(filled)
}

/**
 * The faults of the charts of a page. Each chart states its finding, and also has a table with CSV.
 *
 * @param charts gets the names of the charts
 */
export async function chartFlaws({ page }: Visits, charts: Set<string>): Promise<string[]> {
  const wrong: string[] = []
  for (const chart of await page.locator('figure.chart').all()) {
    const name = (await chart.getAttribute('aria-label')) ?? ''
    const [label = '', ...finding] = name.split(': ')
    if (label === '' || finding.join('').trim() === '') wrong.push(`a chart is called "${name}" and says no finding`)
    charts.add(name)
    if ((await chart.getByText('Nothing was measured').count()) > 0) {
      wrong.push(`the chart "${name}" has no figures in this test`)
      continue
    }
    await chart.getByRole('button', { name: 'as a table' }).click()
    await chart.locator('tbody tr').first().waitFor()
    const rows = await chart.locator('tbody tr').count()
    const names = await chart.locator('thead th').count()
    const [download] = await Promise.all([page.waitForEvent('download'), chart.getByRole('button', { name: 'Download CSV' }).click()])
    const [head = '', ...lines] = readFileSync(await download.path(), 'utf8')
      .trim()
      .split('\n')
    if (rows < 1 || lines.length < rows || head.split(',').length < names)
      wrong.push(`the table of "${name}" has ${rows} rows, its CSV ${lines.length}`)
  }
  return wrong
}

/** Gives charts that measured nothing in this world thirty points. */
export async function fillCharts({ page }: Visits): Promise<void> {
  await page.route('**/ui/api/**', async (route) => {
    if (route.request().method() !== 'GET') return await route.fallback()
    const response = await route.fetch()
    if (response.status() !== 200) return await route.fulfill({ response })
    await route.fulfill({ response, json: asIfMeasured(await response.json()) })
  })
}
