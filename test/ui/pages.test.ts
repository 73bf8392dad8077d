import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { recordEvaluation } from '../../monitoring/alerts/record-evaluation.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import { issueCode } from '../../registry/keys/dashboard-sessions.ts'
import { promoteModel } from '../../registry/promote.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { createUiFolder } from '../../serving/dashboard/ui-folder.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../monitoring/alerts/monitors.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'
import { servingSet } from '../serving/definitions.ts'
import { startBrowser } from '../services/browser.ts'
import type { Visits } from './visits.ts'
import { shown, visit } from './visits.ts'

let full: World
let empty: World
let browser: Browser
let visits: Visits
let beginning: Visits
/** The page of an answered request. */
let receipt = ''

/** What no page may take for anything but text. */
const hostile = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>\u202e javascript:alert(3)`

const described = <Declared extends { readonly operational: object }>(declared: readonly Declared[]) =>
  declared.map((each) => ({ ...each, operational: { ...each.operational, description: hostile, owner: hostile, tags: [hostile] } }))
const hostileSet = {
  ...servingSet,
  views: described(servingSet.views),
  sources: described(servingSet.sources),
  services: described(servingSet.services),
  models: described(servingSet.models),
}

/** The definitions of a project that has none yet. */
const nothing = {
  ...servingSet,
  entities: [],
  sources: [],
  views: [],
  onDemand: [],
  services: [],
  models: [],
  outcomes: [],
  channels: [],
  monitors: [],
  experiments: [],
  batches: [],
  code: new Map(),
}

async function open(world: World): Promise<Visits> {
  const { server, url } = await world.serve({
    config: { bodyLimitBytes: 10_000, logShares: { share: 1, models: new Map() } },
    predictionLog: { flushMs: 10 },
  })
  await server.whenReady()
  const opened = await visit(browser, url)
  await opened.go(`#code=${await issueCode(world.db, 'ann@laptop')}`)
  return opened
}

beforeAll(async () => {
  browser = await startBrowser()
  full = await createWorld('embedded', hostileSet)
  await full.db.script(`
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T09:30:00Z', 7), ('ATL', '2001-07-01T10:00:00Z', 5), ('ATL', '2001-07-01T11:30:00Z', 25),
      ('ATL', '2001-07-01T11:45:00Z', 40), ('ATL', '2001-07-01T12:30:00Z', 99),
      ('${hostile.replaceAll("'", "''")}', '2001-07-01T11:00:00Z', 1)`)
  for (const view of ['airport_required', 'airport_delays']) await full.materialize(view)
  await full.push('delay', 'logistic')
  await full.push('delay', 'logistic', 'second')
  await promoteModel(full.db, 'delay', 1, { actor: hostile, reason: hostile })
  await startRollout(full.db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
  await recordEvaluation(full.db, clockMonitor('clock'), hookAt('https://alerts.example'), minute, checked(result('breach')))
  visits = await open(full)
  const answer = await ask(new URL(visits.page.url()).origin, '/v1/predict', {
    model: 'delay',
    entities: [{ airport: 'ATL', distance: 500 }],
  })
  if (answer.status !== 200) throw new Error(answer.text)
  // from now on, requests need a key
  for (const name of ['old key', hostile.slice(0, 60)])
    await createKey(full.db, { name, scopes: ['read'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null })
  receipt = `receipt/${answer.body.requestId}`
  empty = await createWorld('embedded', nothing)
  beginning = await open(empty)
})
afterAll(async () => {
  await visits?.close()
  await beginning?.close()
  await browser?.close()
  await full?.close()
  await empty?.close()
})
afterEach(async () => {
  await visits?.page.unrouteAll({ behavior: 'ignoreErrors' })
})

const paths = [
  '',
  'alerts',
  'jobs',
  'catalog',
  'lineage?focus=airport_delays@1',
  'sources/landings',
  'views/airport_delays@1',
  'features/airport_delays@1.lastDelay',
  'services/flight@1',
  'models/delay',
  'rollouts/delay',
  'explain?service=flight&entity=airport:ATL',
  `explain?service=flight&entity=${encodeURIComponent(JSON.stringify({ airport: hostile }))}`,
  `catalog?q=${encodeURIComponent(hostile)}`,
  'explain',
  'receipt',
  'parity',
  'keys',
  'audit',
]

describe('every page', () => {
  it('is right in light and dark, wide and narrow, and for assistive technology', { timeout: 600_000 }, async () => {
    const wrong: string[] = []
    for (const path of [...paths, receipt]) {
      for (const [width, scheme] of [
        [1280, 'light'],
        [390, 'dark'],
      ] as const) {
        await visits.page.setViewportSize({ width, height: 800 })
        await visits.page.emulateMedia({ colorScheme: scheme })
        await visits.go(path)
        const where = `/ui/${path} ${width} ${scheme}`
        expect([where, await visits.page.getByRole('alert').allTextContents()]).toEqual([where, []])
        const overflow = Number(await visits.page.evaluate('document.documentElement.scrollWidth - innerWidth'))
        if (overflow > 0) wrong.push(`${where}: ${overflow} px too wide`)
        wrong.push(...[...(await visits.violations()), ...visits.faults()].map((fault) => `${where}: ${fault}`))
      }
    }
    expect(wrong).toEqual([])
  })

  it('says how to fill it where there is nothing yet', async () => {
    const wrong: string[] = []
    for (const path of ['', 'alerts', 'jobs', 'catalog', 'catalog?kind=rollout', 'lineage', 'explain', 'receipt']) {
      await beginning.go(path)
      const commands = await beginning.page.locator('.command').count()
      if (commands < 1) wrong.push(`/ui/${path} offers no command`)
      wrong.push(...[...(await beginning.violations()), ...beginning.faults()].map((fault) => `/ui/${path}: ${fault}`))
    }
    expect(wrong).toEqual([])
  })

  it('keeps its size while it waits, and says that the server does not answer', async () => {
    const { page } = visits
    await page.setViewportSize({ width: 1280, height: 800 })
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
    const index = { entries: [['view', 'wide', 1, '10,000 features', null, [], null]], features, total: 10_000, isCut: false }
    await page.route('**/ui/api/catalog/index', (route) => void route.fulfill({ json: { data: index, asOf: '2001-07-01T12:00:00Z' } }))
    await visits.go('catalog')
    await page.getByText('10,001 in all').waitFor()
    expect(Number(await page.evaluate('document.querySelectorAll("*").length'))).toBeLessThan(1500)
    await page.getByLabel('Filter by name').fill('feature_9999')
    await page.getByText('1 found').waitFor()
    expect(await page.getByRole('link', { name: 'feature_9999' }).count()).toBe(1)
  })
})

describe('a person with a keyboard alone', () => {
  const focused = () =>
    visits.page.evaluate<string>(`(() => {
    const it = document.activeElement
    return (it?.getAttribute('aria-label') ?? it?.labels?.[0]?.textContent ?? it?.textContent ?? '').trim()
  })()`)

  /** Presses Tab until something of this name has the focus, which must be visible. */
  async function tabTo(name: RegExp): Promise<void> {
    const seen: string[] = []
    for (let presses = 0; presses < 120; presses++) {
      await visits.page.keyboard.press('Tab')
      const now = await focused()
      if (name.test(now)) {
        expect([now, await visits.page.evaluate('document.activeElement.matches(":focus-visible")')]).toEqual([now, true])
        return
      }
      seen.push(now.slice(0, 30))
    }
    throw new Error(`Tab does not reach ${String(name)}: ${seen.join(' | ')}`)
  }
  const press = (...keys: string[]) => keys.reduce((before, key) => before.then(() => visits.page.keyboard.press(key)), Promise.resolve())
  const type = (text: string) => visits.page.keyboard.type(text)

  beforeAll(async () => {
    await visits.page.setViewportSize({ width: 1280, height: 800 })
    await visits.page.emulateMedia({ colorScheme: 'light' })
  })

  it('skips to the page', async () => {
    await visits.go('')
    await tabTo(/^Skip to the page$/)
    await press('Enter')
    expect(await visits.page.evaluate('document.activeElement.id')).toBe('main')
  })

  it('finds and opens a feature, which is announced', async () => {
    await visits.go('')
    await press('Control+k')
    await visits.page.getByPlaceholder(/A name, a tag/).waitFor()
    await type('lastDelay')
    await visits.page.getByText('latest').first().waitFor()
    await press('Enter')
    await visits.page.waitForURL(/features\/airport_/)
    await shown(visits.page)
    expect(await visits.page.evaluate('document.activeElement.id')).toBe('main')
    await expect.poll(() => visits.page.locator('[role="status"][aria-live="polite"]').first().textContent()).toContain('lastDelay')
  })

  it('asks why an entity has its values, in the grammar of the command line', async () => {
    await visits.go('')
    await press('Control+k')
    await visits.page.getByPlaceholder(/A name, a tag/).waitFor()
    await type('airport:ATL @ 2001-06-30T10:00')
    await visits.page.getByText('Explain airport ATL as of 2001-06-30 10:00').waitFor()
    await press('Enter')
    await visits.page.waitForURL(/explain\?.*entity=airport%3AATL.*at=2001-06-30/)
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
    await visits.page.getByRole('tab', { name: 'Command' }).waitFor()
    await press('ArrowRight')
    await visits.page.getByRole('tabpanel').getByText('/v1/models/delay').waitFor()
    await press('Escape')
    await expect.poll(focused).toMatch(/^Versions: as a command/)
  })

  it('moves the moment of Explain from change to change, and along its slider', async () => {
    await visits.go('explain?service=flight&entity=airport:ATL')
    const moment = () => visits.page.locator('.time-now strong').textContent()
    await tabTo(/^The moment$/)
    await press('Home')
    const first = await moment()
    await press('ArrowRight', 'ArrowRight')
    await expect.poll(moment).not.toBe(first)
    await press('Home')
    await tabTo(/^Later change$/)
    await press('Enter')
    const later = await moment()
    expect(later).not.toBe(first)
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
    await visits.go('audit')
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

describe('the files of the dashboard', () => {
  it('load at most 300 KB of JavaScript before the first page is there', async () => {
    const assets = join((await createUiFolder()()) ?? '', 'assets')
    const sizes = new Map(readdirSync(assets).map((name) => [name, gzipSync(readFileSync(join(assets, name))).length]))
    const loaded = new Set<string>()
    visits.page.on('request', (request) => loaded.add(request.url().split('/').at(-1) ?? ''))
    await visits.go('')
    const script = [...loaded].filter((name) => name.endsWith('.js')).reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
    expect(script).toBeGreaterThan(50_000)
    expect(script).toBeLessThan(300_000)
  })
})
