import type { Route } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { OpenedDashboard } from './dashboard.ts'
import { openDashboard } from './dashboard.ts'

let opened: OpenedDashboard

beforeAll(async () => {
  opened = await openDashboard()
})
afterAll(() => opened?.close())

const message = 'The database, which this request needs, does not answer; try again soon.'
const withoutDatabase = (route: Route) => route.fulfill({ status: 503, json: { error: { code: 'POSTGRES_UNAVAILABLE', message } } })

it('a page that is open says that the database does not answer', async () => {
  const { page } = opened.visits
  await opened.visits.go('models/delay')
  await page.route('**/ui/api/**', withoutDatabase)
  await page.getByRole('link', { name: 'Jobs', exact: true }).click()
  await page.locator('.banner', { hasText: 'The database does not answer. The page shows what it knew' }).waitFor()
  await page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('a page that is opened while the database is down says so, and comes back with it', async () => {
  const { page } = opened.visits
  await page.route('**/ui/api/**', withoutDatabase)
  await page.reload()
  const heading = page.locator('h1', { hasText: 'The database does not answer' })
  await heading.waitFor()
  // it stays while the page tries again
  const repeated = page.evaluate<boolean>(`new Promise((done) => {
    let reads = 0
    const changes = new MutationObserver(() => document.querySelector('h1') ?? done(false))
    changes.observe(document.body, { childList: true, subtree: true })
    new PerformanceObserver((list) => {
      reads += list.getEntries().filter(({ name }) => name.endsWith('/ui/api/session')).length
      if (reads >= 3) done(true)
    }).observe({ type: 'resource' })
  })`)
  expect(await repeated).toBe(true)
  expect(await opened.visits.violations()).toEqual([])
  await page.unrouteAll({ behavior: 'ignoreErrors' })
  await page.locator('h1', { hasText: 'Jobs' }).waitFor()
  expect(opened.visits.faults()).toEqual([])
})
