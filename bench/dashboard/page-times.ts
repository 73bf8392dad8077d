import { setTimeout as sleep } from 'node:timers/promises'
import { chromium } from 'playwright-core'
import { median } from '../in-process.ts'

const repeats = 10
const features = 10_000
const index = {
  entries: [['view', 'wide', 1, '10,000 features', null, [], null]],
  features: Array.from({ length: features }, (_, i) => [`feature_${i}`, 'float64', 0, 'mean(delay, 6h)']),
  total: features,
  isCut: false,
}

/** How fast pages are in Chromium, each in a browser without a cache. All figures are medians of ten. */
export async function pageTimes(url: string, cookie: string) {
  const browser = await chromium.launch({
    executablePath: process.env['LOCKSTEP_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  })
  const at = cookie.indexOf('=')
  const [name, value] = [cookie.slice(0, at), cookie.slice(at + 1)]
  const measured: { lcp: number; rows: number; keystroke: number }[] = []
  try {
    for (let i = 0; i < repeats; i++) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
      await context.addCookies([{ name, value, url }])
      const page = await context.newPage()
      await page.route('**/ui/api/catalog/index', (route) => void route.fulfill({ json: { data: index, asOf: new Date().toISOString() } }))
      await page.goto(`${url}/ui/`)
      await page.locator('body:not(:has([aria-busy="true"])) h1').waitFor()
      await sleep(300)
      const lcp = await page.evaluate<number>(
        `new Promise((seen) => new PerformanceObserver((list) => seen(list.getEntries().at(-1).startTime)).observe({ type: 'largest-contentful-paint', buffered: true }))`,
      )
      const rows = await page.evaluate<number>(`new Promise((seen) => {
        const began = performance.now()
        history.pushState({}, '', '/ui/catalog')
        const look = () => document.querySelector('main a[href*="/features/"], main a[href*="/views/wide"]') === null ? requestAnimationFrame(look) : seen(performance.now() - began)
        look()
      })`)
      await page.getByLabel('Filter by name').focus()
      await page.evaluate(
        `window.keys = []; new PerformanceObserver((list) => window.keys.push(...list.getEntries().filter(({ name }) => ['keydown', 'keypress', 'input', 'beforeinput', 'keyup'].includes(name)).map(({ duration }) => duration))).observe({ type: 'event', durationThreshold: 16 })`,
      )
      for (const key of 'feature_99') {
        await page.keyboard.press(key)
        await sleep(100)
      }
      // an event that takes less than a frame is not reported
      const keys = await page.evaluate<number[]>('window.keys')
      measured.push({ lcp, rows, keystroke: Math.max(0, ...keys) })
      await context.close()
    }
  } finally {
    await browser.close()
  }
  const of = (figure: keyof (typeof measured)[number]) => Math.round(median(measured.map((each) => each[figure])))
  return { lcp_ms: of('lcp'), first_rows_ms: of('rows'), slowest_keystroke_ms: of('keystroke') }
}
