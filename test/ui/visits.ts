import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Browser, BrowserContext, Page } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

interface AxeResult {
  readonly violations: readonly {
    readonly id: string
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[]
  }[]
}

/** A browser's pages of one dashboard, and what is wrong with them. */
export interface Visits {
  readonly context: BrowserContext
  readonly page: Page
  /** What no page may do: errors of scripts, errors on the console, requests elsewhere, dialogs. Emptied by reading. */
  faults(): string[]
  /** Opens `/ui/PATH` and waits until what it shows is there. */
  go(path: string): Promise<void>
  /** What axe-core finds wrong with the page as it is. */
  violations(): Promise<string[]>
  close(): Promise<void>
}

/** @param url of the server */
export async function visit(browser: Browser, url: string): Promise<Visits> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce' })
  const page = await context.newPage()
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
  return {
    context,
    page,
    faults: () => found.splice(0),
    async go(path) {
      await page.goto(`${url}/ui/${path}`)
      await shown(page)
    },
    async violations() {
      // what is evaluated by the browser's own protocol is no script of the page
      await page.evaluate(axeSource)
      const { violations } = await page.evaluate<AxeResult>(
        `axe.run(document, { runOnly: ${JSON.stringify(rules)}, resultTypes: ['violations'] })`,
      )
      return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary ?? ''}`),
      )
    },
    async close() {
      await context.close()
    },
  }
}

/** Waits until a page has its heading and nothing is on the way. */
export async function shown(page: Page): Promise<void> {
  await page.locator('h1').first().waitFor()
  await page.locator('body:not(:has([aria-busy="true"]))').waitFor()
}
