import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ViewData } from '../../serving/dashboard/contract/view.ts'
import { workerUrl } from '../../runtime/postgres/worker-sessions.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { startExperiment } from '../../registry/experiments/change-experiment.ts'
import { issueCode } from '../../registry/keys/dashboard-sessions.ts'
import { startBrowser } from '../services/browser.ts'
import { createVisitor } from '../serving/dashboard/visitor.ts'
import { hash } from '../serving/definitions.ts'
import { withExperiments } from '../serving/experiment-set.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'
import type { Visits } from './visits.ts'
import { visit } from './visits.ts'

const set = withExperiments(1)
const views = set.views.map((view) => {
  if (view.spec.name !== 'airport_delays') return view
  const spec = { ...view.spec, availability: { kind: 'schedule', schedule: '0 * * * *', delayMicros: 60_000_000 } } as const
  return { ...view, spec, fingerprint: hash(JSON.stringify(spec)) }
})

let world: World
let visits: Visits
let dataOf: (path: string) => Promise<unknown>
const closing: (() => Promise<void>)[] = []

beforeAll(async () => {
  const browser = await startBrowser()
  closing.push(() => browser.close())
  world = await createWorld('embedded', { ...set, views })
  closing.push(() => world.close())
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  const { server, url } = await world.serve()
  await server.whenReady()
  const visitor = createVisitor(url)
  await visitor.login(world.db)
  dataOf = async (path) => (await visitor.ask(`/ui/api${path}`)).body.data
  visits = await visit(browser, url)
  closing.push(() => visits.close())
  await visits.go(`#code=${await issueCode(world.db, 'ann@laptop', 3600)}`)
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

describe('the next run of a view', () => {
  const read = async () => (await dataOf('/views/airport_delays@1')) as ViewData

  it('is none while no worker is connected, with what to do', async () => {
    expect(await read()).toMatchObject({ nextRun: '2001-07-01T13:00:00Z', lacksWorker: true })
    await visits.go('views/airport_delays@1')
    const next = visits.page.locator('dt', { hasText: 'Next run' }).locator('xpath=following-sibling::dd[1]')
    await expect.poll(() => next.textContent()).toBe('noneNo worker is connected: start “lockstep worker”.')
    expect(await visits.flaws()).toEqual([])
  })

  it('is its moment while a worker is connected, and of a past moment', async () => {
    // it stays connected, as a worker does
    const worker = new Client(workerUrl(world.postgresUrl))
    await worker.connect()
    await expect.poll(read).toMatchObject({ nextRun: '2001-07-01T13:00:00Z', lacksWorker: false })
    await worker.end()
    const then = await dataOf('/views/airport_delays@1?asOf=2001-07-01T10:30:00Z')
    expect(then).toMatchObject({ nextRun: '2001-07-01T11:00:00Z', lacksWorker: false })
  })
})

describe('a version without a baseline', () => {
  it('says so, beside its training set', async () => {
    expect(await dataOf('/models/delay')).toMatchObject({ versions: [{ version: 1, baseline: false, note: 'no training set' }] })
    await visits.go('models/delay')
    await visits.page.getByText('no training set; no baseline: drift has nothing to compare with').waitFor()
  })
})

describe('an experiment that was not analyzed yet', () => {
  it('has no counts of units in place of 0', async () => {
    await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
    await world.push('delay', 'logistic', 'second')
    await startExperiment(world.db, 'prices', {}, { actor: 'ann' })
    const uncounted = { units: null, rows: null }
    const read = () => dataOf('/experiments/prices/series')
    await expect.poll(read).toMatchObject({ state: 'running', variants: [uncounted, uncounted] })
    await visits.go('experiments/prices')
    const rows = visits.page.getByRole('region', { name: 'Variants' }).locator('tbody tr')
    await expect.poll(async () => (await rows.first().locator('td').allTextContents()).slice(3)).toEqual(['–', '–'])
  })
})
