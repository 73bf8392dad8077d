import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { chromium } from 'playwright-core'

// Writes pictures of the dashboard into docs/images/: `node build/make-screenshots.ts LINK`, with the link that
// `npm run demo` or `lockstep ui` prints. Further arguments are pages with a name each: `models/delay=model`.
const [link, ...more] = process.argv.slice(2)
if (link === undefined) throw new Error('Pass the link that "lockstep ui" prints: node build/make-screenshots.ts LINK')
const folder = join(dirname(import.meta.dirname), 'docs/images')
const pages: readonly (readonly [path: string, name: string])[] = [
  ['', 'now'],
  ...more.map((each) => {
    const at = each.lastIndexOf('=')
    return [each.slice(0, at), each.slice(at + 1)] as const
  }),
]

mkdirSync(folder, { recursive: true })
const browser = await chromium.launch({
  executablePath: process.env['LOCKSTEP_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
})
const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light', reducedMotion: 'reduce' })
await page.goto(link)
await page.locator('h1').waitFor()
for (const [path, name] of pages) {
  await page.goto(new URL(`/ui/${path}`, link).href)
  await page.locator('h1').waitFor()
  await page.locator('body:not(:has([aria-busy="true"]))').waitFor()
  await page.locator('body:not(:has(.chart-canvas:not(:has(canvas))))').waitFor()
  const file = join(folder, `dashboard-${name}.png`)
  await page.screenshot({ path: file })
  console.log(`Wrote ${file}`)
}
await browser.close()
