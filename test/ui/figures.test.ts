import type { Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { QualityData } from '../../serving/dashboard/contract/model.ts'
import type { ParityData } from '../../serving/dashboard/contract/parity.ts'
import { openDashboard } from './dashboard.ts'
import type { Visits } from './visits.ts'
import { shown } from './visits.ts'

let visits: Visits
let close: () => Promise<void>

beforeAll(async () => {
  ;({ visits, close } = await openDashboard())
})
afterAll(() => close?.())

const noon = Date.UTC(2001, 6, 1, 12)
const column = (feature: string, distance: number | null): QualityData['drift'][number] => ({
  feature,
  view: null,
  drifted: false,
  distance,
  harm: null,
  says: distance === null ? 'The window has no rows.' : 'It did not drift.',
  cause: null,
})
/** Figures of a model: five over time, each measured once. */
const quality: QualityData = {
  finding: 'AUC 0.7.',
  metrics: [],
  overTime: ['AUC', 'log loss', 'accuracy', 'recall', 'precision'].map((name) => ({
    name,
    bound: null,
    chart: {
      finding: `${name} 0.5.`,
      series: [{ label: 'delay@1', unit: 'value', points: [{ t: noon, v: 0.5, low: 0.2, high: 0.8 }] }],
    },
  })),
  outcome: null,
  outcomes: 'No outcomes were looked at.',
  drift: [column('lastDelay', null), column('landed1h', 0.01)],
  driftRule: null,
}

describe('the page of a model', () => {
  it('shows the most telling figures first, with the interval of a single measurement', async () => {
    const answer = { data: quality, asOf: new Date(noon).toISOString() }
    await visits.page.route('**/ui/api/models/delay/quality', (route: Route) => void route.fulfill({ json: answer }))
    await visits.go('models/delay')
    const charts = visits.page.getByRole('figure', { name: /^(AUC|log loss|accuracy|recall|precision) of delay over time/ })
    await expect.poll(() => charts.count()).toBe(2)
    await charts.first().locator('canvas').waitFor()
    // the point is in the middle, and its interval goes from the bottom to the top of the plot
    const drawn = () =>
      visits.page.evaluate<number>(`(() => {
        const canvas = document.querySelector('figure[aria-label^="AUC"] canvas')
        const { width, height } = canvas
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
        const inked = (x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3]).filter((alpha) => alpha > 120).length
        return Math.max(...Array.from({ length: width }, (_, x) => inked(x))) / height
      })()`)
    await expect.poll(drawn).toBeGreaterThan(0.4)
    await visits.page.getByRole('button', { name: 'Show 3 more over time' }).click()
    expect(await charts.count()).toBe(5)
  })

  it('does not call a feature ok whose drift was not measured', async () => {
    const rows = visits.page.getByRole('region', { name: 'Drift of the inputs of delay' }).locator('tbody tr')
    expect(await rows.locator('.badge').allTextContents()).toEqual(['not measured', 'ok'])
    expect(await visits.flaws()).toEqual([])
  })
})

describe('the heat map of parity', () => {
  it('keeps the chosen cell while the pointer crosses others on its way to the example', async () => {
    const { page } = visits
    const cell = (example: string) => ({ checked: 10, erased: 0, share: 0.1, by: { late: 1 }, example })
    const data: ParityData = {
      finding: '10 % differ.',
      checkedAt: null,
      times: [noon - 3_600_000, noon],
      rows: [{ feature: 'lastDelay', view: 'airport_delays@1', cells: [cell('first'), cell('second')] }],
    }
    await page.route('**/ui/api/parity', (route: Route) => void route.fulfill({ json: { data, asOf: new Date(noon).toISOString() } }))
    await visits.go('parity')
    const example = page.getByRole('link', { name: 'Open an example of this cell' })
    const cells = page.locator('.heat tbody td')
    await cells.first().click()
    await cells.nth(1).hover()
    await example.hover()
    expect(await example.getAttribute('href')).toContain('/receipt/first')
    await cells.nth(1).click()
    await expect.poll(() => example.getAttribute('href')).toContain('/receipt/second')
    await page.getByRole('application', { name: /^Heat map/ }).press('ArrowLeft')
    await expect.poll(() => example.getAttribute('href')).toContain('/receipt/first')
  })
})

describe('a page on a phone', () => {
  const phone = { width: 390, scheme: 'light' } as const

  it('starts the drawing of a lineage at its focus', async () => {
    await visits.look(phone)
    await visits.go('lineage?focus=model/delay&from=3')
    const frame = visits.page.getByRole('region', { name: /^Drawing of the lineage/ })
    const isWider = `(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)(document.querySelector('.graph-frame'))`
    await frame.waitFor()
    await expect.poll(() => visits.page.evaluate(isWider)).toBe(true)
    const edges = async (of: typeof frame) => {
      const { x, width } = (await of.boundingBox()) ?? { x: Number.NaN, width: 0 }
      return [x, x + width] as const
    }
    const [left, right] = await edges(frame)
    await expect.poll(async () => (await edges(frame.locator('[data-focus]')))[0]).toBeGreaterThanOrEqual(left)
    await expect.poll(async () => (await edges(frame.locator('[data-focus]')))[1]).toBeLessThanOrEqual(right)
  })

  it.each(['models/delay', 'views/airport_delays@1'])('moves little while /ui/%s comes', async (path) => {
    await visits.look(phone)
    const page = await visits.context.newPage()
    await page.setViewportSize({ width: 390, height: 844 })
    await page.addInitScript(`window.moved = 0
      new PerformanceObserver((list) => { for (const { value } of list.getEntries()) window.moved += value })
        .observe({ type: 'layout-shift', buffered: true })`)
    const [read] = path.split('/')
    // the page is drawn before its answer comes
    await page.route(`**/ui/api/${read}/**`, async (route) => {
      await page.locator('[aria-busy="true"]').first().waitFor()
      await page.evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))')
      await route.continue()
    })
    await page.goto(`${new URL(visits.page.url()).origin}/ui/${path}`)
    await shown(page)
    await page.evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))')
    expect(await page.evaluate<number>('window.moved')).toBeLessThan(0.1)
    await page.close()
  })
})
