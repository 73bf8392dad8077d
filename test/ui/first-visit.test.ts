import type { Route } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { promoteModel } from '../../registry/models/promote.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import type { ModelData, QualityData } from '../../serving/dashboard/contract/model.ts'
import type { SessionData } from '../../serving/dashboard/contract/session.ts'
import type { World } from '../serving/world.ts'
import { openDashboard } from './dashboard.ts'
import type { Visits } from './visits.ts'

// What somebody finds who sees the dashboard for the first time.

let world: World
let visits: Visits
let close: () => Promise<void>

beforeAll(async () => {
  // its database would delete records of 2001 from the audit log about a minute after the start
  const config = { bodyLimitBytes: 100_000, auditRetentionDays: 36_500 }
  ;({ world, visits, close } = await openDashboard(() => Promise.resolve({ config })))
})
afterAll(() => close?.())
afterEach(async () => {
  await visits?.page.unrouteAll({ behavior: 'ignoreErrors' })
  visits?.faults()
})

it('a page that was not opened before waits for the server, and takes no other page away', async () => {
  const { page } = visits
  await visits.go('jobs')
  const down = (route: Route) => void route.abort('connectionrefused')
  await page.route('**/ui/**', down)
  await page.getByRole('link', { name: 'Audit', exact: true }).click()
  await page.locator('h1', { hasText: 'The server does not answer' }).waitFor()
  await page.getByText('It opens as soon as the server answers.', { exact: false }).waitFor()
  expect(await visits.violations()).toEqual([])
  // the code of the search is not there either
  await page.keyboard.press('Control+K')
  await page.getByRole('link', { name: 'Jobs', exact: true }).click()
  await page.locator('h1', { hasText: 'Jobs' }).waitFor()
  await page.goBack()
  await page.locator('h1', { hasText: 'The server does not answer' }).waitFor()
  await page.unroute('**/ui/**', down)
  await page.locator('h1', { hasText: 'Audit' }).waitFor()
  await page.getByRole('region', { name: 'Changes, newest first' }).waitFor()
  expect(visits.faults()).toEqual([])
})

it('the search that was not opened before opens once the server answers', async () => {
  const { page } = visits
  await visits.go('jobs')
  const down = (route: Route) => void route.abort('connectionrefused')
  await page.route('**/ui/**', down)
  const failed = page.waitForEvent('requestfailed', (request) => request.url().includes('/palette-'))
  await page.keyboard.press('Control+K')
  await failed
  await page.unroute('**/ui/**', down)
  const search = page.getByRole('textbox', { name: 'Search everything' })
  await expect
    .poll(async () => {
      await page.keyboard.press('Control+K')
      return await search.count()
    })
    .toBe(1)
  expect(visits.faults()).toEqual([])
})

it('the search opens Explain for a key alone, and the receipt of a request id', async () => {
  const { page } = visits
  await visits.go('jobs')
  const slowPage = Promise.withResolvers<void>()
  await page.route('**/explain-*.js', async (route) => {
    await slowPage.promise
    await route.continue()
  })
  const search = async (text: string): Promise<void> => {
    // once it has closed, it forgets its text
    await page.getByPlaceholder(/A name, a tag/).waitFor({ state: 'hidden' })
    await page.keyboard.press('Control+k')
    await page.getByPlaceholder(/A name, a tag/).fill(text)
  }
  // the key may be one of each entity
  await search('ATL')
  await page.getByText('Explain account ATL now', { exact: true }).waitFor()
  await page.getByText('Explain airport ATL now', { exact: true }).click()
  await page.waitForURL((url) => url.pathname === '/ui/explain' && url.searchParams.get('entity') === 'airport:ATL')
  const id = '7adf9527-5ffb-4a3d-9bf1-98c5b1eeff2e'
  await search(` ${id} `)
  // a page that comes late takes no focus from the search
  slowPage.resolve()
  await page.getByRole('heading', { level: 1, name: 'Explain' }).waitFor({ state: 'attached' })
  await page
    .locator('[data-selected]')
    .filter({ hasText: `Receipt of ${id}` })
    .waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(`**/ui/receipt/${id}`)
})

describe('the page of a model', () => {
  it('shows all columns of its versions in a window of 1280 pixels', async () => {
    const { page } = visits
    await page.route('**/ui/api/models/delay', async (route) => {
      const answer = (await (await route.fetch()).json()) as { readonly data: ModelData }
      const [version] = answer.data.versions
      if (version === undefined) throw new Error('The model has a version.')
      const busy = {
        ...version,
        requests: 98_765,
        failed: 12_345,
        p99Ms: 12_345,
        sizeBytes: 123_456_789,
        pushedAt: '2001-06-30T10:00:00Z',
        baseline: false,
      }
      const note = 'rolled back at 2001-06-30 10:00 UTC, training set 4ef009f5'
      const versions = [
        { ...busy, version: 102, role: null, note },
        { ...busy, version: 101, role: 'candidate', note },
        { ...busy, version: 100, role: 'champion', note },
      ]
      await route.fulfill({ json: { ...answer, data: { ...answer.data, versions, champion: 100, pinned: 100 } } })
    })
    await visits.go('models/delay')
    const frame = page.getByRole('region', { name: 'Versions of delay' })
    await frame.getByText('rolled back at', { exact: false }).first().waitFor()
    const missing = `(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('[aria-label="Versions of delay"]'))`
    await expect.poll(() => page.evaluate(missing)).toBe(0)
    // notes have the room that they need: few lines
    const notes = frame.locator('tbody tr').first().locator('td[data-name="Notes"]')
    await expect.poll(async () => (await notes.boundingBox())?.width).toBeGreaterThan(200)
    expect(await visits.flaws([{ width: 1280, scheme: 'light' }])).toEqual([])
  })

  it('says of which rows its drift is and since when, and not that these are mature predictions', async () => {
    const { page } = visits
    const data: QualityData = {
      finding: 'AUC 0.7.',
      metrics: [],
      overTime: [],
      outcome: 'late',
      outcomes: '90 of 100 predictions have an outcome that counts.',
      driftRule: 'Of 1,200 rows that version 1 answered from 10:00 to 11:00 UTC.',
      drift: [
        {
          feature: 'lastDelay',
          view: 'airport_delays@1',
          drifted: true,
          since: 'since 2001-06-28',
          distance: 3,
          byChance: 0.01,
          harm: 0.1,
          says: 'The mean was 3 in training, 12 as served.',
        },
      ],
    }
    const sampled = 'logged predictions that are mature'
    await page.route(
      '**/ui/api/models/delay/quality',
      (route) => void route.fulfill({ json: { data, sampled, mature: false, asOf: '2001-07-01T12:00:00Z' } }),
    )
    await visits.go('models/delay')
    await page.getByText('since 2001-06-28', { exact: true }).waitFor()
    await page.getByText('Of 1,200 rows that version 1 answered').waitFor()
    await page.getByText(`From a sample: ${sampled}.`).waitFor()
    expect(visits.faults()).toEqual([])
  })
})

it('a table has a column of acts only if the session may do them', async () => {
  const { page } = visits
  const acts = page.getByRole('region', { name: 'Versions of delay' }).getByRole('columnheader', { name: 'Act', exact: true })
  await visits.go('models/delay')
  await acts.waitFor()
  await page.route('**/ui/api/session', async (route) => {
    const answer = (await (await route.fetch()).json()) as { readonly data: SessionData }
    await route.fulfill({ json: { ...answer, data: { ...answer.data, scopes: ['ui:read'] } } })
  })
  await visits.go('models/delay')
  await page.getByRole('region', { name: 'Versions of delay' }).getByRole('columnheader', { name: 'Notes' }).waitFor()
  expect(await acts.count()).toBe(0)
})

it('the audit page shows changes since a day, and who saw values only if it is asked', async () => {
  const { page } = visits
  await world.db.script(`insert into lockstep.audit_log (at, actor, action, subject) values
    ('2001-06-20T10:00:00Z', 'bob', 'model.push', 'an old model'), ('2001-06-28T10:00:00Z', 'bob', 'model.push', 'a new model'),
    ('2001-06-28T11:00:00Z', 'bob', 'explain', 'flight@1')`)
  await visits.go('audit')
  const subjects = page.getByRole('region', { name: 'Changes, newest first' }).locator('td[data-name="Subject"]')
  await page.getByLabel('Who', { exact: true }).fill('bob')
  await expect.poll(() => subjects.allTextContents()).toEqual(['a new model', 'an old model'])
  await page.getByLabel('Since (UTC)').fill('2001-06-27')
  await expect.poll(() => subjects.allTextContents()).toEqual(['a new model'])
  await page.getByLabel('Also who saw values of entities').check()
  await expect.poll(() => subjects.allTextContents()).toEqual(['flight@1', 'a new model'])
  expect(await visits.flaws()).toEqual([])
})

it('the list of rollouts has the models that have had one, and no others', async () => {
  const { page } = visits
  const names = page.getByRole('list', { name: 'Definitions' }).getByRole('link')
  await visits.go('catalog?kind=rollout')
  await page.getByText('There are no rollouts yet').waitFor()
  await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
  await world.push('delay', 'logistic', 'second')
  await startRollout(world.db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
  // pages that ask the same within three seconds share an answer
  await expect
    .poll(async () => {
      await visits.go('catalog?kind=rollout')
      return await names.allTextContents()
    })
    .toEqual(['delay'])
})

it('in high contrast, how far a job is stays visible', async () => {
  const { page } = visits
  await world.db.query(
    `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, chunks, chunks_done)
     values ('backfill', 'airport_delays@1', '', '{}', 'running', false, false, false, 30, 7, 'test', 4, 3)`,
    [],
  )
  await visits.go('jobs?kind=backfill')
  await page.locator('.mantine-Progress-section').first().waitFor()
  const background = async (of: string) =>
    await page.evaluate<string>(`getComputedStyle(document.querySelector('.mantine-Progress-${of}')).backgroundColor`)
  await page.emulateMedia({ forcedColors: 'active' })
  expect(await background('section')).not.toBe(await background('root'))
  await page.emulateMedia({ forcedColors: 'none' })
})

it('on paper, a page is light and has no menu', async () => {
  const { page } = visits
  await visits.look({ width: 1280, scheme: 'dark' })
  await visits.go('models/delay')
  const ground = async () => (await page.evaluate<string>(`getComputedStyle(document.documentElement).getPropertyValue('--ground')`)).trim()
  const menu = page.getByRole('navigation', { name: 'Pages' })
  await page.getByRole('region', { name: 'Versions of delay' }).waitFor()
  expect([await ground(), await menu.isVisible()]).toEqual(['#0e1014', true])
  await page.emulateMedia({ media: 'print' })
  expect([await ground(), await menu.isVisible()]).toEqual(['#f6f7f9', false])
  expect(await page.getByRole('region', { name: 'Versions of delay' }).isVisible()).toBe(true)
  await page.emulateMedia({ media: 'screen' })
  await visits.look({ width: 1280, scheme: 'light' })
})

it('a link to this moment opens the page as it was', async () => {
  const { page, context } = visits
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await visits.go('jobs?state=done')
  await page.getByRole('button', { name: 'Now', exact: true }).click()
  const before = Date.now()
  // the button says so for a moment only, in which this process may stand still
  await page.evaluate(`void (window.copied = new Promise((done) => {
    const isShown = () => [...document.querySelectorAll('button')].some((button) => button.textContent === 'Copied')
    new MutationObserver(() => isShown() && done(true)).observe(document.body, { childList: true, characterData: true, subtree: true })
  }))`)
  await page.getByRole('button', { name: 'Copy a link to this moment' }).click()
  expect(await page.evaluate('window.copied')).toBe(true)
  const link = new URL(await page.evaluate<string>('navigator.clipboard.readText()'))
  expect([link.pathname, link.searchParams.get('state')]).toEqual(['/ui/jobs', 'done'])
  const at = link.searchParams.get('asOf') ?? ''
  // to the second
  expect(Date.parse(at)).toBeGreaterThan(before - 1000)
  expect(Date.parse(at)).toBeLessThanOrEqual(Date.now())
  await page.goto(link.href)
  await page.getByText('You see everything as of', { exact: false }).waitFor()
  expect(visits.faults()).toEqual([])
})

it('the pages show an hour ago by one click', async () => {
  const { page } = visits
  await visits.go('jobs')
  const before = Date.now()
  await page.getByRole('button', { name: 'Now', exact: true }).click()
  await page.getByRole('button', { name: '1 h ago' }).click()
  await page.getByText('You see everything as of', { exact: false }).waitFor()
  const agoMs = before - Date.parse(new URL(page.url()).searchParams.get('asOf') ?? '')
  // to the second, and the click came later
  expect(agoMs).toBeLessThanOrEqual(3_601_000)
  expect(agoMs).toBeGreaterThan(3_600_000 - (Date.now() - before) - 1000)
  expect(visits.faults()).toEqual([])
})

it('a browser that does not copy shows it, and what to do', async () => {
  const { page } = visits
  await visits.go('jobs')
  // as on a page without HTTPS
  await page.evaluate('delete Object.getPrototypeOf(navigator).clipboard')
  await page.getByRole('button', { name: 'Now', exact: true }).click()
  await page.getByRole('button', { name: 'Copy a link to this moment' }).click()
  await page.getByRole('alert').filter({ hasText: 'Choose a moment, and copy the address.' }).waitFor()
  expect(await visits.violations()).toEqual([])
  expect(visits.faults()).toEqual([])
})
