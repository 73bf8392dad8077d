import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { chromium } from 'playwright-core'

// Writes a picture of each page of the dashboard into docs/images/: `node build/make-screenshots.ts LINK`, with the
// link that `npm run demo` prints. Further arguments are the names of the pages to take: `model rollout`; default: all.
const [link, ...wanted] = process.argv.slice(2)
if (link === undefined) throw new Error('Pass the link that "npm run demo" prints: node build/make-screenshots.ts LINK')

/** The pages of the demo, by name. */
const pages: Readonly<Record<string, string>> = {
  now: '',
  catalog: 'catalog',
  source: 'sources/landings',
  view: 'views/airport_delays@1',
  feature: 'features/flight_context@1.miles',
  service: 'services/flight_features@1',
  model: 'models/delay',
  rollout: 'rollouts/delay',
  experiment: 'experiments/second_model',
  pipelines: 'pipelines',
  explain: 'explain?service=airport_delays@1&entity=airport:ATL&at=2001-06-26T20:00:00Z',
  parity: 'parity',
  lineage: 'lineage?focus=service/flight_features',
  plan: 'plan?focus=view/airport_delays@1',
  alerts: 'alerts',
  jobs: 'jobs',
  keys: 'keys',
  audit: 'audit',
}
/**
 * Pages of the first thing that another page lists. The demo has no pipeline and no training: these pictures need a
 * server with one.
 */
const listed: Readonly<Record<string, { readonly list: string; readonly links: string }>> = {
  receipt: { list: 'explain', links: '/ui/receipt/' },
  alert: { list: 'alerts', links: 'alert=' },
  pipeline: { list: 'pipelines', links: '/ui/pipelines/' },
  training: { list: 'trainings', links: '/ui/trainings/' },
}
const folder = join(dirname(import.meta.dirname), 'docs/images')
mkdirSync(folder, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env['LOCKSTEP_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' })
await page.goto(link)
// a link is for one log-in, within a minute
await page.getByRole('heading', { level: 1, name: 'Now' }).waitFor()
for (const [name, path] of Object.entries(pages)) {
  if (wanted.length === 0 || wanted.includes(name)) await take(name, path)
}
for (const [name, { list, links }] of Object.entries(listed)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  await open(list)
  const [first] = await page.locator(`main a[href*="${links}"]`).all()
  const address = (await first?.getAttribute('href')) ?? null
  if (address === null) console.log(`No picture of "${name}": /ui/${list} lists none.`)
  else await take(name, address.slice('/ui/'.length))
}
await browser.close()

async function open(path: string): Promise<void> {
  await page.goto(new URL(`/ui/${path}`, link).href)
  await page.locator('h1').waitFor()
  await page.locator('body:not(:has([aria-busy="true"]))').waitFor()
  await page.locator('body:not(:has(.chart-canvas:not(:has(canvas))))').waitFor()
}

async function take(name: string, path: string): Promise<void> {
  await open(path)
  const file = join(folder, `dashboard-${name}.png`)
  await page.screenshot({ path: file })
  console.log(`Wrote ${file}`)
}
