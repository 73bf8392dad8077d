import { globSync, readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser, Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createKey } from '../../registry/keys/api-keys.ts'
import { issueCode } from '../../registry/keys/dashboard-sessions.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'
import { installMs, installPackage } from '../install-package.ts'
import { startBrowser } from '../services/browser.ts'
import { rootFolder } from '../source-files.ts'
import { attack } from './attack.ts'
import { chartFlaws, fillCharts } from './charts.ts'
import { changeAnswer, storeParityOf } from './full-figures.ts'
import { barePaths, createFullWorld, emptyPaths, hostile, missingPaths, nothing, pathsOf, refused } from './full-world.ts'
import { keyboardOf } from './keyboard.ts'
import { type Offer, brokenOffers, offersAt, readOffers } from './offers.ts'
import type { Visits } from './visits.ts'
import { linkedReads, shown, visit, walk } from './visits.ts'

let full: World
let empty: World
let browser: Browser
/** The files of the dashboard, as users have them: those of the package. */
let packed = ''
let visits: Visits
let beginning: Visits
/** The page of an answered request. */
let receipt = ''
/** An API key with the scope `admin`. */
let key = ''

async function open(world: World): Promise<Visits> {
  const { server, url } = await world.serve({
    config: { bodyLimitBytes: 10_000, logShares: { share: 1, models: new Map() } },
    uiFolder: () => Promise.resolve(packed),
    predictionLog: { flushMs: 10 },
  })
  await server.whenReady()
  const opened = await visit(browser, url)
  await opened.go(`#code=${await issueCode(world.db, 'ann@laptop', 3600)}`)
  return opened
}

beforeAll(async () => {
  packed = join((await installPackage('pages')).installed, 'ui')
  browser = await startBrowser(['rebound.example'])
  ;[full, empty] = await Promise.all([createFullWorld(), createWorld('embedded', nothing)])
  visits = await open(full)
  const predict = async (asOf?: string, airports = ['ATL']) => {
    const body = { model: 'delay', asOf, entities: airports.map((airport) => ({ airport, distance: 500 })) }
    const answered = await ask(new URL(visits.page.url()).origin, '/v1/predict', body)
    if (answered.status !== 200) throw new Error(answered.text)
    return answered
  }
  const early = '2001-07-01T11:00:00Z'
  await predict(early)
  const answer = await predict(undefined, ['ATL', hostile])
  await storeParityOf(full, answer.body.requestId)
  await changeAnswer(full, early)
  // from now on, requests need a key
  for (const name of ['old key', hostile.slice(0, 60)])
    await createKey(full.db, { name, scopes: ['read'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null })
  const admin = { name: 'admin', scopes: ['admin'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null } as const
  key = (await createKey(full.db, admin)).text
  receipt = `receipt/${answer.body.requestId}`
  beginning = await open(empty)
}, installMs)
afterAll(async () => {
  await visits?.close()
  await beginning?.close()
  await browser?.close()
  await Promise.all([full?.close(), empty?.close()])
})
afterEach(async () => {
  await visits?.page.unrouteAll({ behavior: 'ignoreErrors' })
  await visits?.look({ width: 1280, scheme: 'light' })
})

const paths = () => pathsOf(receipt)

const past = '2001-07-01T11:30:00Z'
const alerts = async ({ page }: Visits): Promise<string[]> => await page.getByRole('alert').allTextContents()
const twoLooks = [
  { width: 1280, scheme: 'light' },
  { width: 390, scheme: 'dark' },
] as const
const fails = (route: Route) => void route.fulfill({ status: 500, json: { error: { code: 'INTERNAL', message: 'It broke.' } } })
const reads = /\/ui\/api\/(?!session)/

describe('every page', { timeout: 1_200_000 }, () => {
  it('is one that these tests open', () => {
    const routes = [...readFileSync(join(rootFolder, 'ui/router.tsx'), 'utf8').matchAll(/ path: '\/([^']*)'/g)].map(([, path = '']) =>
      path.replace(/\/\$$/, '/$id'),
    )
    const opened = paths().map((path) => (path.split('?')[0] ?? '').replace(/\/.*/, '/$id'))
    expect(routes.filter((route) => !opened.includes(route))).toEqual([])
  })

  /** Faults of the dialog that a decision of a rollout opens. */
  async function evidenceFlaws(): Promise<string[]> {
    const { page } = visits
    await page.getByRole('button', { name: /^not enough evidence, / }).click()
    await page.getByRole('dialog').getByText('Replay: the same').waitFor()
    const wrong = await visits.flaws()
    await visits.look({ width: 1280, scheme: 'light' })
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    return wrong
  }

  it('is right in light and dark, wide, narrow and magnified, and for assistive technology', async () => {
    await fillCharts(visits)
    const charts = new Set<string>()
    const offers: Offer[] = []
    const wrong = await walk(visits, paths(), async (path) => {
      await visits.look({ width: 1280, scheme: 'light' })
      if (path === 'plan') await visits.page.getByLabel('Plan').fill(JSON.stringify(refused))
      await shown(visits.page)
      const dialog = path === 'rollouts/delay' ? await evidenceFlaws() : []
      return [
        ...dialog,
        ...(await alerts(visits)),
        ...(await visits.flaws()),
        ...(await chartFlaws(visits, charts)),
        ...(await readOffers(visits, offers)),
      ]
    })
    expect(wrong).toEqual([])
    expect(charts.size).toBeGreaterThan(8)
    // all that panels offer in place of the dashboard works, of a past moment too
    const url = new URL(visits.page.url()).origin
    expect(await brokenOffers([...offers, ...offersAt(past)], { url, key, postgresUrl: full.postgresUrl })).toEqual([])
    expect(offers.length).toBeGreaterThan(60)
    expect(offers.flatMap(({ ofNow }) => ofNow)).toEqual([])
  })

  it('offers the same as of its moment, or says that it shows now', async () => {
    const offers: Offer[] = []
    await visits.go(`models/delay?asOf=${past}`)
    expect(await readOffers(visits, offers)).toEqual([])
    const ofNow = Object.fromEntries(offers.map((offer) => [offer.panel, offer.ofNow]))
    expect(ofNow).toMatchObject({ 'Quality by outcomes': [], Versions: ['Command', 'curl', 'TypeScript'] })
  })

  it('keeps what it knew, with its age, while the server answers with errors', async () => {
    await visits.go('')
    const shownBefore = new Map<string, string | null>()
    const heading = async () => await visits.page.locator('h1').textContent()
    const known = paths().filter((path) => path !== 'receipt' && path !== 'explain')
    const links = new Set<string>()
    // a service that reads a view under an alias, too
    const aliased = `explain?service=route&entity=${encodeURIComponent('{"airport":"ATL","destination":"ATL"}')}`
    await walk(visits, [...known, aliased], async (path) => {
      shownBefore.set(path, await heading())
      if (path === aliased) await visits.page.getByText('airport_delays@1 as destination').click()
      for (const read of await linkedReads(visits)) links.add(read)
      return []
    })
    const dead = await visits.page.evaluate<string[]>(`Promise.all(${JSON.stringify([...links])}.map(async (read) => {
      const answer = await fetch('/ui/api/' + read, { headers: { 'x-lockstep-ui': '1' } })
      return answer.ok ? [] : [read + ': ' + (await answer.text())]
    })).then((all) => all.flat())`)
    expect(dead).toEqual([])
    expect(links.size).toBeGreaterThan(20)
    // a thing without a page is named with its kind: others may have its name
    expect([...links]).toContain('lineage?focus=entity%2Fairport')
    await visits.page.route(reads, fails)
    const wrong: string[] = []
    for (const path of known.toReversed().slice(1)) {
      await visits.to(path)
      // what is older than five seconds is read again
      await visits.page.evaluate('dispatchEvent(new Event("visibilitychange"))')
      if (path === '') await visits.page.locator('.banner').waitFor()
      if ((await heading()) !== shownBefore.get(path)) wrong.push(`/ui/${path}: ${await heading()}`)
      if ((await visits.page.locator('main .mantine-EmptyState-root[role="alert"]').count()) > 0)
        wrong.push(`/ui/${path} has lost what it knew`)
      wrong.push(...visits.faults())
    }
    expect(wrong).toEqual([])
    expect(await visits.page.locator('.banner').textContent()).toMatch(/^The server answers with errors\. The page shows what it knew /)
    expect(await visits.flaws([{ width: 390, scheme: 'dark' }])).toEqual([])
  })

  it('says what failed if it never had an answer', async () => {
    await visits.page.route(reads, fails)
    const reading = paths().filter((path) => path !== 'receipt' && path !== 'plan')
    const wrong = await walk(visits, reading, async () => {
      await visits.page.getByText('It broke.').first().waitFor()
      return await visits.flaws(twoLooks)
    })
    expect(wrong).toEqual([])
  })

  it('says how to fill it where there is nothing yet', async () => {
    const flawsOf = (of: Visits) => async () => {
      await expect.poll(() => of.page.locator('.command').count(), { message: `commands of ${of.page.url()}` }).toBeGreaterThan(1)
      return await of.flaws(twoLooks)
    }
    const wrong = [...(await walk(beginning, emptyPaths, flawsOf(beginning))), ...(await walk(visits, barePaths, flawsOf(visits)))]
    wrong.push(...(await walk(beginning, missingPaths, async () => await beginning.flaws(twoLooks))))
    expect(wrong).toEqual([])
  })

  it('keeps its size while it waits, and says that the server does not answer', async () => {
    const { page } = visits
    const held: (() => void)[] = []
    await page.route('**/ui/api/models/**', (route) => void held.push(() => void route.abort()))
    await page.goto(`${new URL(page.url()).origin}/ui/models/delay`)
    await page.locator('[aria-busy="true"]').first().waitFor()
    expect(await page.locator('h1').textContent()).toBe('delay')
    expect(await visits.violations()).toEqual([])
    await expect.poll(() => held.length).toBeGreaterThan(0)
    await page.route('**/ui/api/models/**', (route) => void route.abort())
    for (const release of held) release()
    await page.getByText('The server does not answer').first().waitFor()
    expect(visits.faults()).toEqual([])
  })

  it('shows what it knew, and a banner, once the server is down', async () => {
    const { page } = visits
    await visits.go('models/delay')
    await page.route('**/ui/api/**', (route) => void route.abort())
    await page.getByRole('link', { name: 'Jobs', exact: true }).click()
    await page.locator('.banner').waitFor()
    await page.goBack()
    expect(await page.locator('.banner').textContent()).toContain('The server does not answer. The page shows what it knew')
    await page.getByRole('region', { name: 'Versions of delay' }).waitFor()
    expect(await visits.violations()).toEqual([])
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.locator('.banner').waitFor({ state: 'detached' })
  })

  it('is one of a list of 10,000 features that draws few of them', async () => {
    const { page } = visits
    const features = Array.from({ length: 10_000 }, (_, index) => [`feature_${index}`, 'float64', 0, 'mean(delay, 6h)'])
    const index = { entries: [['view', 'wide', 1, '10,000 features', null, [], null]], features, total: 10_000, rollouts: [], isCut: false }
    await page.route('**/ui/api/catalog/index', (route) => void route.fulfill({ json: { data: index, asOf: '2001-07-01T12:00:00Z' } }))
    await visits.go('catalog')
    await page.getByText('10,001 in all').waitFor()
    expect(Number(await page.evaluate('document.querySelectorAll("*").length'))).toBeLessThan(1500)
    await page.getByLabel('Filter by name').fill('feature_9999')
    await page.getByText('1 found').waitFor()
    await page.getByRole('link', { name: 'feature_9999' }).waitFor()
  })
})

describe('a person with a keyboard alone', () => {
  const { focused, tabTo, press, type, openSearch } = keyboardOf(() => visits.page)

  it('skips to the page', async () => {
    await visits.go('')
    await tabTo(/^Skip to the page$/)
    await press('Enter')
    await expect.poll(() => visits.page.evaluate('document.activeElement.id')).toBe('main')
  })

  it('finds and opens a feature, which is announced', async () => {
    await visits.go('')
    await openSearch()
    await type('lastDelay')
    await visits.page.getByText('latest').first().waitFor()
    await press('Enter')
    await visits.page.waitForURL(/features\/airport_/)
    // the address changes before the page does
    await expect.poll(() => visits.page.evaluate('document.activeElement.id')).toBe('main')
    await expect.poll(() => visits.page.locator('[role="status"][aria-live="polite"]').first().textContent()).toContain('lastDelay')
  })

  it('asks why an entity has its values, in the grammar of the command line', async () => {
    await visits.go('')
    await openSearch()
    await type('airport:ATL @ 2001-06-30T10:00')
    await visits.page.getByText('Explain airport ATL as of 2001-06-30 10:00').waitFor()
    await press('Enter')
    await visits.page.waitForURL(/explain\?.*entity=airport%3AATL.*at=2001-06-30/)
    // a prediction is explained as of the moment that it holds for, not of when it was answered
    await visits.go('explain')
    await visits.page.locator('table a[href*="at=2001-07-01T11%3A00"]').click()
    await visits.page.getByText(/^Last served/).waitFor()
  })

  it('filters the catalog and opens what is found', async () => {
    await visits.go('catalog')
    await tabTo(/^Filter by name/)
    await type('airport_typed')
    await visits.page.getByText(/ found$/).waitFor()
    await tabTo(/^airport_typed@1$/)
    await press('Enter')
    await visits.page.waitForURL(/views\/airport_typed/)
  })

  it('shows everything as of a moment, and returns to now', async () => {
    await visits.go('')
    await tabTo(/^Now$/)
    while (!(await visits.page.evaluate('document.activeElement.tagName === "BUTTON"'))) await tabTo(/^Now$/)
    await press('Enter')
    await visits.page.getByLabel('Show everything as of (UTC)').waitFor()
    await expect.poll(focused).toMatch(/^Show everything as of/)
    await type('2001-06-30T10:00')
    await press('Enter')
    await visits.page.getByText('You see everything as of 2001-06-30 10:00 UTC.', { exact: false }).waitFor()
    expect(visits.page.url()).toContain('asOf=2001-06-30')
    await tabTo(/^Back to now$/)
    await press('Enter')
    await visits.page.waitForURL((address) => !address.search.includes('asOf'))
    await visits.go('alerts?asOf=2999-01-01T00:00:00Z')
    await visits.page.getByText('2999-01-01 00:00 UTC is still to come').waitFor()
    await visits.go('audit?asOf=yesterday')
    await visits.page.getByText('“yesterday” in the address is no moment.', { exact: false }).waitFor()
  })

  it('chooses dark colours', async () => {
    await visits.go('jobs')
    await tabTo(/^Use dark colours$/)
    await press('Enter')
    await expect.poll(() => visits.page.evaluate('document.documentElement.dataset.mantineColorScheme')).toBe('dark')
    await press('Enter')
  })

  it('reads a panel as a command or curl, and is back where the button was', async () => {
    await visits.go('models/delay')
    await tabTo(/^Versions: as a command/)
    await press('Enter')
    // the focus moves after the tab is there
    await visits.page.locator('[role="tab"]:focus').filter({ hasText: 'Command' }).waitFor()
    await press('ArrowRight')
    await visits.page.getByRole('tabpanel').getByText('/v1/models/delay').waitFor()
    await press('Escape')
    await expect.poll(focused).toMatch(/^Versions: as a command/)
  })

  it('moves the moment of Explain from change to change, and along its slider', async () => {
    await visits.go('explain?service=flight&entity=airport:ATL&at=2001-07-01T12:00:00Z')
    const served = visits.page.getByText('Last served at')
    await expect.poll(() => served.textContent()).toMatch(/^Last served at 2001-07-01 12:00/)
    const moment = () => visits.page.locator('.time-now strong').textContent()
    const last = await moment()
    await tabTo(/^The moment$/)
    await press('Home')
    await expect.poll(moment).not.toBe(last)
    const first = await moment()
    await press('ArrowRight', 'ArrowRight')
    await expect.poll(moment).not.toBe(first)
    await press('Home')
    await expect.poll(moment).toBe(first)
    await tabTo(/^Later change$/)
    await press('Enter')
    await expect.poll(moment).not.toBe(first)
    const later = await moment()
    await expect.poll(() => visits.page.locator('[role="status"][aria-live="polite"]').first().textContent()).toBe(later)
  })

  it('pauses a rollout with a reason', async () => {
    await visits.go('rollouts/delay')
    await tabTo(/^Pause: Pause the rollout of version 2 of delay$/)
    await press('Enter')
    await visits.page.getByRole('dialog').waitFor()
    await expect.poll(focused).toMatch(/^Reason/)
    await type('waiting for the weekend')
    await tabTo(/^Pause$/)
    await press('Enter')
    await visits.page.getByText('The rollout is paused.').waitFor()
    await visits.page.getByRole('button', { name: /^Resume/ }).waitFor()
  })

  it('sorts a table', async () => {
    await visits.go('models/delay')
    await tabTo(/^Version$/)
    await press('Enter')
    await visits.page.locator('th[aria-sort="ascending"]').waitFor()
    await press('Enter')
    await visits.page.locator('th[aria-sort="descending"]').waitFor()
  })

  it('pins a version with a reason, and finds it in the audit log', async () => {
    await visits.go('models/delay')
    await tabTo(/^Pin: Pin delay to version 1$/)
    await press('Enter')
    await visits.page.getByRole('dialog').waitFor()
    await expect.poll(focused).toMatch(/^Reason/)
    expect(await visits.violations()).toEqual([])
    await type('the new one is slow')
    await tabTo(/^Pin$/)
    await press('Enter')
    await visits.page.getByText('Version 1 is pinned.').waitFor()
    await visits.page.locator('.page-title .mantine-Badge-root', { hasText: 'pinned: version 1' }).waitFor()
    await visits.page.getByText(/^version 2 at \d+\s% without the pin(, paused)?$/).waitFor()
    await visits.go('rollouts/delay')
    await visits.page.getByText(/^0\s% by the pin, \d+\s% without it$/).waitFor()
    await visits.go('audit')
    await visits.page.getByText('the new one is slow').waitFor()
    await tabTo(/^Older changes$/)
    await press('Enter')
    await visits.page.getByText('change 1', { exact: true }).waitFor()
    await tabTo(/^Newest changes$/)
    await press('Enter')
    await visits.page.getByText('the new one is slow').waitFor()
  })

  it('revokes a key by typing its name', async () => {
    await visits.go('keys')
    await tabTo(/^Revoke: Revoke key old key$/)
    await press('Enter')
    await visits.page.getByRole('dialog').waitFor()
    await expect.poll(focused).toMatch(/^Reason/)
    await type('it leaked')
    await tabTo(/^Type old key to confirm/)
    await type('old key')
    await tabTo(/^Revoke$/)
    await press('Enter')
    await visits.page.getByText('The key is revoked.').waitFor()
    expect(visits.faults()).toEqual([])
  })
})

describe('a page of somebody else', () => {
  const state = async () => {
    const count = async (table: string) => await full.db.query(`select count(*)::int as n from lockstep.${table}`, [])
    return [await count('api_keys'), await count('ui_sessions'), await count('audit_log')]
  }

  it('on another origin gets nothing, frames nothing and changes nothing', async () => {
    await visits.go('keys')
    const target = new URL(visits.page.url()).origin
    const before = await state()
    const evil = createServer((_, answer) =>
      answer.setHeader('content-type', 'text/html').end('<!doctype html><title>x</title><body>'),
    ).listen(0)
    const page = await visits.context.newPage()
    try {
      // of the same site, so that the browser would send a cookie that is not strict
      await page.goto(`http://127.0.0.1:${(evil.address() as AddressInfo).port}/`)
      const got = await page.evaluate<Record<string, string>>(attack(target))
      expect(new Set(Object.values(got))).toEqual(new Set(['refused']))
      await expect.poll(() => page.frames().map((frame) => new URL(frame.url()).protocol)).toContain('chrome-error:')
      expect(await state()).toEqual(before)
      // the session is still there
      await visits.go('keys')
      await visits.page.getByRole('heading', { name: 'Keys', level: 1 }).waitFor()
    } finally {
      await page.close()
      evil.close()
    }
  })

  it('whose host name is made to point at this machine gets nothing and changes nothing', async () => {
    const { port } = new URL(visits.page.url())
    const target = `http://rebound.example:${port}`
    const before = await state()
    const page = await visits.context.newPage()
    try {
      // a document under the name of somebody else, whose scripts are of the same origin as the server
      await page.goto(`${target}/nothing`)
      const { socket, v1, ...got } = await page.evaluate<Record<string, string>>(attack(target))
      for (const [name, answer] of Object.entries(got)) expect([name, answer]).toEqual([name, expect.stringMatching(/^421 .*MISDIRECTED/)])
      expect([socket, v1?.slice(0, 3)]).toEqual(['refused', '401'])
      expect(await page.goto(`${target}/ui/`).then((answer) => answer?.status())).toBe(421)
      expect(await state()).toEqual(before)
    } finally {
      await page.close()
    }
  })
})

describe('the files of the dashboard', () => {
  it('load at most 300 KB of JavaScript before the first page is there', async () => {
    const assets = join(packed, 'assets')
    const sizes = new Map(readdirSync(assets).map((name) => [name, gzipSync(readFileSync(join(assets, name))).length]))
    const loaded = new Set<string>()
    visits.page.on('request', (request) => loaded.add(request.url().split('/').at(-1) ?? ''))
    await visits.go('')
    const script = [...loaded].filter((name) => name.endsWith('.js')).reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
    expect(script).toBeGreaterThan(50_000)
    expect(script).toBeLessThan(300_000)
  })

  it('have the styles of all components of Mantine that pages show', async () => {
    const assets = join(packed, 'assets')
    const textOf = (end: string) =>
      readdirSync(assets)
        .flatMap((name) => (name.endsWith(end) ? [readFileSync(join(assets, name), 'utf8')] : []))
        .join('\n')
    const classes = /\bm_[0-9a-f]{4,8}\b/g
    const [used, styled] = [new Set(textOf('.js').match(classes)), new Set(textOf('.css').match(classes))]
    expect(used.size).toBeGreaterThan(100)
    const styles = join(rootFolder, 'node_modules/@mantine/core/styles')
    const missing = globSync('*.css', { cwd: styles }).filter((file) => {
      const own = readFileSync(join(styles, file), 'utf8').match(classes) ?? []
      return !file.endsWith('.layer.css') && own.some((name) => used.has(name) && !styled.has(name))
    })
    // parts of Checkbox and Highlight, which come with the others and are not shown
    expect(missing.toSorted()).toEqual(['CheckboxCard.css', 'CheckboxIndicator.css', 'Mark.css'])
  })
})
