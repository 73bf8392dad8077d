import { afterAll, beforeAll, expect, it } from 'vitest'
import type { OpenedDashboard } from './dashboard.ts'
import { openDashboard } from './dashboard.ts'

let opened: OpenedDashboard

beforeAll(async () => {
  opened = await openDashboard()
})
afterAll(() => opened?.close())

const commands = async (): Promise<string[]> => await opened.visits.page.locator('main .command code').allTextContents()

it('an empty page offers commands with names of the registry', async () => {
  const { visits } = opened
  const entries = [
    ['view', 'spending', 1, '', null, [], null],
    ['service', 'fraud_features', 1, '', null, [], null],
    ['model', 'fraud', 1, '', null, [], null],
  ]
  await visits.page.route('**/ui/api/catalog/index', (route) =>
    route.fulfill({ json: { data: { entries, features: [], total: 0, isCut: false }, asOf: '2001-07-01T12:00:00Z' } }),
  )
  await visits.go('lineage')
  await expect.poll(commands).toEqual(['lockstep lineage spending', 'lockstep lineage fraud_features --up'])
  await visits.to('catalog?kind=dataset')
  await expect.poll(commands).toContainEqual(expect.stringMatching(/^lockstep dataset create fraud_features --spine/))
  await visits.page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('the receipt page offers a request that lists ids', async () => {
  const { visits } = opened
  await visits.go('receipt')
  const [, curl = ''] = await commands()
  const [, path = ''] = /"\$LOCKSTEP([^"]*)"/.exec(curl) ?? []
  const answer = await fetch(new URL(path, visits.page.url()))
  expect([path, answer.status, await answer.json()]).toMatchObject(['/v1/predictions?limit=5', 200, { predictions: [] }])
  expect(visits.faults()).toEqual([])
})
