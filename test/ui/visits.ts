import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, BrowserContext, Page } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const allRules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

interface AxeResult {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
  }[]
}

/** How a page is looked at. */
export interface Look {
  readonly width: number
  readonly scheme: 'light' | 'dark'
}

/** A browser's pages of one dashboard, and what is wrong with them. */
export interface Visits {
  readonly context: BrowserContext
  readonly page: Page
  /** Forbidden acts of pages: errors of scripts or on the console, requests elsewhere, dialogs. Emptied by reading. */
  faults(): string[]
  /** Loads `/ui/PATH` and waits until what it shows is there. */
  go(path: string): Promise<void>
  /**
   * Goes to another page as a link does, without loading the document again. The page must not be of the same route.
   */
  to(path: string): Promise<void>
  look(look: Look): Promise<void>
  /** The faults that axe-core finds in the page as it is. */
  violations(): Promise<string[]>
  /** The faults of the page in light and dark, wide, narrow and magnified. */
  flaws(looks?: readonly Look[]): Promise<string[]>
  close(): Promise<void>
}

const [wide, narrow] = [1280, 390]
/** A window of 1280 pixels at 200 % has 640. */
const magnified = 640
/** From each to the next only one of the two changes, which the browser draws faster. */
const everyLook: readonly Look[] = [
  { width: wide, scheme: 'light' },
  { width: wide, scheme: 'dark' },
  { width: narrow, scheme: 'dark' },
  { width: narrow, scheme: 'light' },
]
/**
 * All other rules run once wide and once narrow: the scheme changes nothing of them. These run in both schemes, first
 * on all of a page and then on what it shows at the second width alone: no style sheet changes a colour with the width.
 */
const rulesOfColours = ['color-contrast', 'link-in-text-block']
const withoutColours = Object.fromEntries(rulesOfColours.map((rule) => [rule, { enabled: false }]))

/**
 * A script: the elements that the page has not shown in this scheme before.
 *
 * @param all all of the page, in place of these
 */
const newIn = (scheme: string, all: boolean): string => `(() => {
  const shown = (window.lockstepShown ??= {})
  const before = (shown.${scheme} = (${all} ? null : shown.${scheme}) ?? new WeakSet())
  const found = [...document.body.querySelectorAll('*')].filter((each) => !before.has(each) && each.checkVisibility())
  for (const each of found) before.add(each)
  return ${all} ? document : found
})()`

/** @param url of the server */
export async function visit(browser: Browser, url: string): Promise<Visits> {
  const context = await browser.newContext({ viewport: { width: wide, height: 800 }, reducedMotion: 'reduce' })
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  let present: Look = { width: wide, scheme: 'light' }
  const found: string[] = []
  page.on('pageerror', (error) => found.push(`error: ${error.message}`))
  page.on('console', (message) => {
    // the browser itself notes an answer that is an error, which the page shows
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource'))
      found.push(`${message.type()}: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`) && !/^(blob|data):/.test(request.url())) found.push(`request of ${request.url()}`)
  })
  page.on('dialog', (dialog) => {
    found.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  /** The faults that axe-core finds. @param where a script: the document or elements */
  async function audited(where: string, rules: object): Promise<string[]> {
    // what is evaluated by the browser's own protocol is no script of the page
    if (!(await page.evaluate<boolean>('"axe" in window'))) await page.evaluate(axeSource)
    // without a preload of style sheets and media: it serves a rule about media that starts on its own, which no page
    // has
    const options = JSON.stringify({ ...rules, resultTypes: ['violations'], preload: false })
    const violations = await page.evaluate<AxeResult['violations']>(`(async () => {
      const where = ${where}
      return where.length === 0 ? [] : (await axe.run(where, ${options})).violations
    })()`)
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`),
    )
  }
  const visits: Visits = {
    context,
    page,
    faults: () => found.splice(0),
    async go(path) {
      // the first page waits for the build of the dashboard; the test has a time limit of its own
      await page.goto(`${url}/ui/${path}`, { timeout: 0 })
      await shown(page)
    },
    async to(path) {
      await page.evaluate(`document.querySelector('h1')?.setAttribute('data-left', '')
        history.pushState({}, '', ${JSON.stringify(`/ui/${path}`)})`)
      await page.locator('h1:not([data-left])').first().waitFor()
      await shown(page)
    },
    async look(look) {
      const { width, scheme } = look
      if (width === present.width && scheme === present.scheme) return
      if (width !== present.width) await page.setViewportSize({ width, height: 800 })
      if (scheme !== present.scheme) await page.emulateMedia({ colorScheme: scheme })
      present = look
      await drawn(page)
    },
    violations: () => audited('document', { runOnly: allRules }),
    async flaws(looks = everyLook) {
      const wrong: string[] = []
      const [widths, schemes] = [new Set<number>(), new Set<string>()]
      for (const look of looks) {
        await visits.look(look)
        const { width, scheme } = look
        const where = newIn(scheme, !schemes.has(scheme))
        const flaws: string[] = []
        // one run in place of two where both look at all of the page
        if (!widths.has(width) && !schemes.has(scheme)) flaws.push(...(await audited(where, { runOnly: allRules })))
        else {
          if (!widths.has(width)) flaws.push(...(await audited('document', { runOnly: allRules, rules: withoutColours })))
          flaws.push(...(await audited(where, { runOnly: rulesOfColours })))
        }
        widths.add(width)
        schemes.add(scheme)
        wrong.push(...[...flaws, ...(await overflow(page))].map((flaw) => `${width} ${scheme}: ${flaw}`))
      }
      await visits.look({ width: magnified, scheme: present.scheme })
      wrong.push(...(await overflow(page)).map((flaw) => `200 %: ${flaw}`), ...visits.faults())
      return wrong
    },
    async close() {
      await context.close()
    },
  }
  return visits
}

async function overflow(page: Page): Promise<string[]> {
  const readPixels = async () => Number(await page.evaluate('document.documentElement.scrollWidth - innerWidth'))
  let pixels = await readPixels()
  // a chart is as wide as its panel some frames after the panel
  for (let tries = 0; pixels > 0 && tries < 50; tries++) {
    await drawn(page)
    pixels = await readPixels()
  }
  return pixels > 0 ? [`${pixels} px too wide`] : []
}

/** Waits until the page has drawn what it is to show now. */
export async function drawn(page: Page): Promise<void> {
  await page.evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))')
}

/** Waits until a page has its heading and nothing is on the way. */
export async function shown(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await page.locator('body:not(:has([aria-busy="true"]))').waitFor()
}

/**
 * Visits pages in one document, each in the look of the last one.
 *
 * @param wrongOf what is wrong with the page that is shown
 */
export async function walk(through: Visits, pages: readonly string[], wrongOf: (path: string) => Promise<string[]>): Promise<string[]> {
  const wrong: string[] = []
  for (const [i, path] of pages.entries()) {
    await (i === 0 ? through.go(path) : through.to(path))
    wrong.push(...(await wrongOf(path)).map((fault) => `/ui/${path} ${fault}`))
  }
  return wrong
}

/** The requests of the pages that this page links to, as paths under /ui/api/. */
export async function linkedReads({ page }: Visits): Promise<string[]> {
  const reads = {
    features: '/stats',
    views: '',
    sources: '',
    services: '',
    models: '',
    rollouts: '',
    receipt: '',
    explain: '',
    lineage: '',
    experiments: '/series',
    pipelines: '',
    trainings: '',
  }
  const links = await page.evaluate<string[]>(`[...document.querySelectorAll('main a[href^="/ui/"]')].map((link) => link.href)`)
  return links.flatMap((link) => {
    const { pathname, search } = new URL(link)
    const [kind = '', id] = pathname.slice('/ui/'.length).split('/')
    if (!Object.hasOwn(reads, kind)) return []
    if (id === undefined) return search === '' ? [] : [`${kind}${search}`]
    return [`${kind === 'receipt' ? 'receipts' : kind}/${id}${reads[kind as keyof typeof reads]}`]
  })
}
