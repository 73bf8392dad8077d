import { readFileSync } from 'node:fs'
import type { Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKey } from '../../registry/keys/api-keys.ts'
import { promoteModel, removeModelAlias } from '../../registry/models/promote.ts'
import { abortRollout, pauseRollout, resumeRollout, startRollout } from '../../registry/rollouts/change-rollout.ts'
import type { ParityData } from '../../serving/dashboard/contract/parity.ts'
import type { OverTimeData, QualityData } from '../../serving/dashboard/contract/model.ts'
import type { World } from '../serving/world.ts'
import { openDashboard } from './dashboard.ts'
import type { Visits } from './visits.ts'
import { drawn, shown } from './visits.ts'

// Pages of one dashboard. The acts come last, as they change what the others show.

let world: World
let visits: Visits
let close: () => Promise<void>

beforeAll(async () => {
  ;({ world, visits, close } = await openDashboard())
})
afterAll(() => close?.())

const commands = async (): Promise<string[]> => await visits.page.locator('main .command code').allTextContents()

it('an empty page offers commands with names of the registry', async () => {
  const entries = [
    ['view', 'spending', 1, '', null, [], null],
    ['service', 'fraud_features', 1, '', null, [], null],
    ['model', 'fraud', 1, '', null, [], null],
  ]
  await visits.page.route('**/ui/api/catalog/index', (route) =>
    route.fulfill({ json: { data: { entries, features: [], total: 0, rollouts: [], isCut: false }, asOf: '2001-07-01T12:00:00Z' } }),
  )
  await visits.go('lineage')
  await expect.poll(commands).toEqual(['lockstep lineage spending', 'lockstep lineage fraud_features --up'])
  await visits.to('catalog?kind=dataset')
  await expect.poll(commands).toContainEqual(expect.stringMatching(/^lockstep dataset create fraud_features --spine/))
  await visits.page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('the search finds features that the list of the catalog does not have', async () => {
  const { page } = visits
  await page.route('**/ui/api/catalog/index', (route) =>
    route.fulfill({
      json: { data: { entries: [], features: [], total: 30_000, rollouts: [], isCut: true }, asOf: '2001-07-01T12:00:00Z' },
    }),
  )
  await visits.go('jobs')
  await page.keyboard.press('Control+k')
  await page.getByPlaceholder(/A name, a tag/).fill('landed1h')
  await page.getByText(/^Feature · airport_delays@1 · /).waitFor()
  await page.keyboard.press('Enter')
  await page.waitForURL(/features\/airport_delays(%40|@)1\.landed1h$/)
  await page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('what would break lists what is made from a definition that is removed', async () => {
  const { page } = visits
  await visits.go('views/airport_delays@1')
  await page.getByRole('link', { name: 'What would break' }).last().click()
  await page.getByRole('heading', { level: 1, name: 'What would break' }).waitFor()
  const row = (name: string) => page.getByRole('row').filter({ hasText: name })
  await row('airport_delays@1').filter({ hasText: 'removed' }).first().waitFor()
  await row('By airport_delays@1 (removed).').first().waitFor()
  expect(new URL(page.url()).searchParams.get('focus')).toBe('view/airport_delays@1')
})

it('the receipt page offers a request that lists ids', async () => {
  await visits.go('receipt')
  await expect.poll(async () => (await commands()).length).toBeGreaterThan(1)
  const [, curl = ''] = await commands()
  const [, path = ''] = /"\$LOCKSTEP([^"]*)"/.exec(curl) ?? []
  const answer = await fetch(new URL(path, visits.page.url()))
  expect([path, answer.status, await answer.json()]).toMatchObject(['/v1/predictions?limit=5', 200, { predictions: [] }])
  expect(visits.faults()).toEqual([])
})

const message = 'The database, which this request needs, does not answer; try again soon.'
const withoutDatabase = (route: Route) => route.fulfill({ status: 503, json: { error: { code: 'POSTGRES_UNAVAILABLE', message } } })

it('a page that is open says that the database does not answer', async () => {
  const { page } = visits
  await visits.go('models/delay')
  await page.route('**/ui/api/**', withoutDatabase)
  await page.getByRole('link', { name: 'Jobs', exact: true }).click()
  await page.locator('.banner', { hasText: 'The database does not answer. The page shows what it knew' }).waitFor()
  await page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('a page that is opened while the database is down says so, and comes back with it', async () => {
  const { page } = visits
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
  expect(await visits.violations()).toEqual([])
  await page.unrouteAll({ behavior: 'ignoreErrors' })
  await page.locator('h1', { hasText: 'Jobs' }).waitFor()
  expect(visits.faults()).toEqual([])
})

const noon = Date.UTC(2001, 6, 1, 12)
const column = (feature: string, distance: number | null): QualityData['drift'][number] => ({
  feature,
  view: null,
  drifted: false,
  since: null,
  distance,
  byChance: null,
  harm: null,
  says: distance === null ? 'The window has no rows.' : 'It did not drift.',
})
/** Figures of a model: five over time, each measured once. */
const quality: QualityData = {
  finding: 'AUC 0.7.',
  metrics: [],
  overTime: ['AUC', 'log loss', 'accuracy', 'recall', 'precision'].map((name) => ({
    name,
    bound: null,
    chart: {
      finding: `${name} 0.5.`,
      series: [{ label: 'delay@1', unit: 'value', points: [{ t: noon, v: 0.5, low: 0.2, high: 0.8 }] }],
    },
  })),
  outcome: null,
  outcomes: 'No outcomes were looked at.',
  drift: [column('lastDelay', null), column('landed1h', 0.01)],
  driftRule: null,
}

/** The answers of a model, by day or hour, with a gap. */
const overTime = (step: OverTimeData['step']): OverTimeData => {
  const ms = step === 'day' ? 86_400_000 : 3_600_000
  const points = [3, null, 5].map((v, i) => ({ t: noon - (2 - i) * ms, v, ...(v === null ? {} : { low: v - 1, high: v + 1, n: 40 }) }))
  const marks = { label: 'changes', points: [{ t: noon, text: 'Version 2 became the champion.' }] }
  const chart = { finding: `By ${step}.`, series: [{ label: 'delay@1', unit: 'value' as const, points }], marks }
  const change = { at: new Date(noon).toISOString(), says: 'Version 2 became the champion.', who: 'ann', reason: null, link: null }
  const requests = { ...chart, series: [{ label: 'delay@1', unit: 'count' as const, points: [{ t: noon, v: 5 }] }] }
  return { step, says: `By ${step} (UTC).`, requests, outputs: [{ name: 'score', kind: 'mean', chart }], changes: [change] }
}

describe('the page of a model', () => {
  it('shows the most telling figures first, with the interval of a single measurement', async () => {
    const answer = { data: quality, asOf: new Date(noon).toISOString() }
    await visits.page.route('**/ui/api/models/delay/quality', (route: Route) => void route.fulfill({ json: answer }))
    await visits.go('models/delay')
    const charts = visits.page.getByRole('figure', { name: /^(AUC|log loss|accuracy|recall|precision) of delay over time/ })
    await expect.poll(() => charts.count()).toBe(2)
    await charts.first().locator('canvas').waitFor()
    // the point is in the middle, and its interval goes from the bottom to the top of the plot
    const inked = () =>
      visits.page.evaluate<number>(`(() => {
        const canvas = document.querySelector('figure[aria-label^="AUC"] canvas')
        const { width, height } = canvas
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
        const inked = (x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3]).filter((alpha) => alpha > 120).length
        return Math.max(...Array.from({ length: width }, (_, x) => inked(x))) / height
      })()`)
    await expect.poll(inked).toBeGreaterThan(0.4)
    await visits.page.getByRole('button', { name: 'Show 3 more over time' }).click()
    await expect.poll(() => charts.count()).toBe(5)
  })

  it('does not call a feature ok whose drift was not measured', async () => {
    const rows = visits.page.getByRole('region', { name: 'Drift of the inputs of delay' }).locator('tbody tr')
    await expect.poll(() => rows.locator('.mantine-Badge-root').allTextContents()).toEqual(['not measured', 'ok'])
    expect(await visits.flaws()).toEqual([])
  })

  it('shows what it answered by day or by hour, as the address says, and what changed when', async () => {
    const { page } = visits
    await page.route('**/ui/api/models/delay/over-time*', (route: Route) => {
      const step = new URL(route.request().url()).searchParams.get('step') === 'hour' ? 'hour' : 'day'
      void route.fulfill({ json: { data: overTime(step), asOf: new Date(noon).toISOString() } })
    })
    await visits.go('models/delay?step=hour')
    // the changes are in the table below
    await page.getByText('2001-07-01 12:00: delay@1 5. The chart begins with the second point.', { exact: true }).waitFor()
    const chart = page.getByRole('figure', { name: /^Mean of the output score over time/ })
    const rows = async () => await chart.locator('tbody tr').allTextContents()
    await chart.getByRole('button', { name: 'as a table' }).click()
    await expect.poll(async () => (await rows())[0]).toBe('2001-07-01 10:003 (2 to 4, n\u00a040)–')
    await page.getByText('By day').click()
    await page.waitForURL((address) => !address.search.includes('step'))
    await expect
      .poll(async () => await rows())
      .toEqual([
        '2001-06-29 12:003 (2 to 4, n\u00a040)–',
        '2001-06-30 12:00––',
        '2001-07-01 12:005 (4 to 6, n\u00a040)Version 2 became the champion.',
      ])
    const changes = page.getByRole('region', { name: 'What changed of delay, newest first' })
    await expect
      .poll(() => changes.locator('tbody tr').allTextContents())
      .toEqual([expect.stringMatching(/Version 2 became the champion\. .*ann$/)])
  })
})

describe('the heat map of parity', () => {
  it('keeps the chosen cell while the pointer crosses others on its way to the example', async () => {
    const { page } = visits
    const cell = (example: string) => ({ checked: 10, erased: 0, share: 0.1, by: { late: 1 }, example })
    const data: ParityData = {
      finding: '10 % differ.',
      checkedAt: null,
      times: [noon - 3_600_000, noon],
      rows: [{ feature: 'lastDelay', view: 'airport_delays@1', cells: [cell('first'), cell('second')] }],
    }
    await page.route('**/ui/api/parity', (route: Route) => void route.fulfill({ json: { data, asOf: new Date(noon).toISOString() } }))
    await visits.go('parity')
    const example = page.getByRole('link', { name: 'Open an example of this cell' })
    const cells = page.locator('.heat tbody td')
    await cells.first().click()
    await cells.nth(1).hover()
    await example.hover()
    expect(await example.getAttribute('href')).toContain('/receipt/first')
    await cells.nth(1).click()
    await expect.poll(() => example.getAttribute('href')).toContain('/receipt/second')
    await page.getByRole('application', { name: /^Heat map of differences: 10 % differ\./ }).press('ArrowLeft')
    await expect.poll(() => example.getAttribute('href')).toContain('/receipt/first')
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV' }).click()])
    expect(readFileSync(await download.path(), 'utf8').split('\n')).toEqual([
      'feature,view,from,checked,share that differs,erased since',
      'lastDelay,airport_delays@1,2001-07-01T11:00:00.000Z,10,0.1,0',
      'lastDelay,airport_delays@1,2001-07-01T12:00:00.000Z,10,0.1,0',
    ])
  })
})

it('a run of a training leads to its rollout, and to its training set while that is kept', async () => {
  const { page } = visits
  const asOf = '2001-07-01T12:00:00Z'
  const entries = [['dataset', 'kept', null, '10 rows', null, [], null]]
  await page.route('**/ui/api/catalog/index', (route) =>
    route.fulfill({ json: { data: { entries, features: [], total: 1, rollouts: [], isCut: false }, asOf } }),
  )
  const run = { job: '1', state: 'registered', says: null, at: asOf, from: null, split: null, to: null, rows: null, version: 4 }
  const more = { metrics: [], evaluation: null, decisions: [], deployed: 'started a rollout', rollout: '7', log: '' }
  const ended = { submittedBy: 'ada', submittedAt: asOf, finishedAt: asOf }
  const show = async (dataset: string) => {
    const last = { ...run, ...more, ...ended, dataset }
    const line = { name: dataset, model: 'delay', trainer: 'train.py', schedule: null, next: null, description: null, last }
    const rest = { label: 'late', requires: [], deploys: '', window: '90d', test: '7d', mature: null, parameters: null, runs: [last] }
    await page.route(`**/ui/api/trainings/${dataset}`, (route) => route.fulfill({ json: { data: { training: line, ...rest }, asOf } }))
    await visits.go(`trainings/${dataset}`)
    await page.getByRole('link', { name: 'version 4' }).waitFor()
  }
  await show('kept')
  await page.locator('a[href*="/lineage?focus=dataset"]').waitFor()
  expect(await page.getByRole('link', { name: 'version 4' }).getAttribute('href')).toMatch(/rollouts\/delay\?rollout=(%227%22|7)$/)
  await show('deleted')
  expect(await page.locator('a[href*="/lineage?focus=dataset"]').count()).toBe(0)
  await page.unrouteAll({ behavior: 'ignoreErrors' })
})

it('the lineage offers definitions of every kind, and gives both columns of its table the same room', async () => {
  const { page } = visits
  const entries = [['training', 'weekly', null, 'trains delay', null, [], null]]
  await page.route('**/ui/api/catalog/index', (route) =>
    route.fulfill({ json: { data: { entries, features: [], total: 1, rollouts: [], isCut: false }, asOf: '2001-07-01T12:00:00Z' } }),
  )
  await visits.go('lineage?focus=model/delay')
  const widthOf = async (name: string) => (await page.getByRole('columnheader', { name, exact: true }).boundingBox())?.width ?? Number.NaN
  await expect.poll(async () => (await widthOf('Goes into')) / (await widthOf('Made from'))).toBeGreaterThan(0.8)
  await page.getByRole('combobox', { name: 'Around' }).click()
  await page.getByRole('listbox').getByText('Training', { exact: true }).waitFor()
  await page.getByRole('option', { name: 'weekly' }).click()
  await page.waitForURL(/focus=training(\/|%2F)weekly/)
  await page.unrouteAll({ behavior: 'ignoreErrors' })
})

describe('a page on a phone', () => {
  const phone = { width: 390, scheme: 'light' } as const

  it('starts the drawing of a lineage at its focus', async () => {
    await visits.look(phone)
    await visits.go('lineage?focus=model/delay&from=3')
    const frame = visits.page.getByRole('region', { name: /^Drawing of the lineage/ })
    const isWider = `(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)(document.querySelector('.graph-frame'))`
    await frame.waitFor()
    await expect.poll(() => visits.page.evaluate(isWider)).toBe(true)
    const edges = async (of: typeof frame) => {
      const { x, width } = (await of.boundingBox()) ?? { x: Number.NaN, width: 0 }
      return [x, x + width] as const
    }
    const [left, right] = await edges(frame)
    await expect.poll(async () => (await edges(frame.locator('[data-focus]')))[0]).toBeGreaterThanOrEqual(left)
    await expect.poll(async () => (await edges(frame.locator('[data-focus]')))[1]).toBeLessThanOrEqual(right)
  })

  it('gives the sentence of a panel all of its width, below its buttons', async () => {
    await visits.look(phone)
    await visits.go('models/delay')
    const missing = `[...document.querySelectorAll('.panel-says')].map((says) => says.closest('header').clientWidth - says.clientWidth)`
    const pixels = () => visits.page.evaluate<number[]>(missing)
    await expect.poll(async () => (await pixels()).length).toBeGreaterThan(1)
    // the padding of the head is 28 pixels
    await expect.poll(async () => Math.max(...(await pixels()))).toBeLessThanOrEqual(28)
  })

  it.each(['models/delay', 'views/airport_delays@1'])('moves little while /ui/%s comes', async (path) => {
    await visits.look(phone)
    const page = await visits.context.newPage()
    await page.setViewportSize({ width: 390, height: 844 })
    await page.addInitScript(`window.moved = 0
      new PerformanceObserver((list) => { for (const { value } of list.getEntries()) window.moved += value })
        .observe({ type: 'layout-shift', buffered: true })`)
    const [read] = path.split('/')
    // the page is drawn before its answer comes
    await page.route(`**/ui/api/${read}/**`, async (route) => {
      await page.locator('[aria-busy="true"]').first().waitFor()
      await drawn(page)
      await route.continue()
    })
    await page.goto(`${new URL(visits.page.url()).origin}/ui/${path}`)
    await shown(page)
    await drawn(page)
    expect(await page.evaluate<number>('window.moved')).toBeLessThan(0.1)
    await page.close()
  })
})

describe('once a rollout has started,', () => {
  beforeAll(async () => {
    await visits.page.unrouteAll({ behavior: 'ignoreErrors' })
    // some browsers run timers that are due after everything else
    await visits.page.addInitScript(`{
      const set = window.setTimeout
      window.setTimeout = (run, ms, ...more) => set(run, ms > 0 ? ms : 30, ...more)
    }`)
    await visits.look({ width: 1280, scheme: 'light' })
    await world.push('delay', 'logistic', 'second')
    await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
    await startRollout(world.db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
  })

  it('a key is created after its author has seen the keys that others made meanwhile', async () => {
    const { page } = visits
    await visits.go('keys')
    await page.getByRole('button', { name: 'Create a key' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('batch')
    await dialog.getByLabel('push').check()
    await dialog.getByLabel('Reason').fill('for the nightly batch')
    const limits = { requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
    await createKey(world.db, { name: 'by Bob', scopes: ['push'], ...limits })
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
    await page.getByText('by Bob', { exact: true }).waitFor()
    await dialog.getByRole('button', { name: 'Create' }).click()
    await dialog.getByText('The key, which is never shown again:').waitFor()
    await page.keyboard.press('Escape')
    await page.getByText('batch', { exact: true }).waitFor()
    expect(visits.faults()).toEqual([])
  })

  it('an open dialog acts on what it opened with, even after the page is read again', async () => {
    const { page } = visits
    let refusals = 0
    page.on('response', (response) => void (refusals += Number([409, 412].includes(response.status()))))
    await visits.go('rollouts/delay')
    await page.getByRole('button', { name: /^Promote/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(/^No request of version 2 was counted from /).waitFor()
    await dialog.getByText('The controller has not looked yet.').waitFor()
    await dialog.getByLabel('Reason').fill('it is better')
    await pauseRollout(world.db, 'delay', { actor: 'bob' })
    // the page behind shows it
    await page.locator('.page-title .mantine-Badge-root', { hasText: 'paused' }).waitFor()
    await dialog.getByRole('button', { name: 'Promote' }).click()
    await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
    const aliases = await world.db.query(`select version from lockstep.model_aliases where model = 'delay' and alias = 'champion'`, [])
    expect(aliases).toEqual([{ version: 1 }])
    // a second change behind the dialog is refused as well
    await resumeRollout(world.db, 'delay', { actor: 'bob' })
    await page.locator('.page-title .mantine-Badge-root', { hasText: 'running' }).waitFor()
    await dialog.getByRole('button', { name: 'Promote' }).click()
    await expect.poll(() => refusals).toBe(2)
    // after that the act is possible, and a rollout that has ended is not paused
    await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
    await dialog.getByRole('button', { name: 'Promote' }).click()
    await page.getByText('Version 2 is the champion.').waitFor()
    await page.locator('.page-title .mantine-Badge-root', { hasText: 'promoted' }).waitFor()
    expect(visits.faults()).toEqual([])
  })

  it('a dialog stays what it was when the page offers the opposite act in its place', async () => {
    const { page } = visits
    await startRollout(world.db, 'delay', { version: 1, plan: 'default' }, { actor: 'ann' })
    await visits.go('rollouts/delay')
    await page.getByRole('button', { name: /^Pause/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('to look at it')
    await pauseRollout(world.db, 'delay', { actor: 'bob' })
    await page.locator('.page-title .mantine-Badge-root', { hasText: 'paused' }).waitFor()
    expect(await dialog.textContent()).toContain('Pause the rollout of version 1 of delay')
    await dialog.getByRole('button', { name: 'Pause' }).click()
    await dialog.getByRole('alert').getByText('The page now shows what it is.').waitFor()
    expect(await dialog.getByRole('button', { name: 'Resume' }).count()).toBe(0)
    await dialog.getByRole('button', { name: 'Cancel' }).click()
  })

  it('an act that the page no longer offers says that nothing was done', async () => {
    const { page } = visits
    await visits.go('rollouts/delay')
    await page.getByRole('button', { name: /^Abort/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Reason').fill('it is worse')
    // the page has not read yet that it has ended
    await page.route('**/ui/api/rollouts/delay/abort', async (route) => {
      await abortRollout(world.db, 'delay', { actor: 'bob' })
      await route.continue()
    })
    await dialog.getByRole('button', { name: 'Abort' }).click()
    await dialog.waitFor({ state: 'detached' })
    await page.getByText('This has changed since you looked at it; nothing was done.').waitFor()
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    expect(visits.faults()).toEqual([])
  })

  it('a model says which version was champion before, and rolls back to it', async () => {
    const { page } = visits
    await visits.go('models/delay')
    const target = page.locator('dt', { hasText: 'Roll back' }).locator('xpath=following-sibling::dd[1]')
    await expect.poll(() => target.textContent()).toBe('to version 1')
    await promoteModel(world.db, 'delay', 1, { actor: 'ann' })
    // a server reads what others changed a little later
    await expect
      .poll(async () => {
        await visits.go('models/delay')
        return await page.locator('.page-title .mantine-Badge-root').textContent()
      })
      .toBe('champion: version 1')
    await page.getByRole('button', { name: /^Roll back\W+Roll delay back to version 2/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Version 2, the champion before version 1, answers from the next request on.').waitFor()
    await dialog.getByLabel('Reason').fill('it was better')
    await dialog.getByRole('button', { name: 'Roll back' }).click()
    await page.getByText('Version 2 is the champion.').waitFor()
    await page.locator('.page-title .mantine-Badge-root', { hasText: 'version 2' }).waitFor()
    expect(visits.faults()).toEqual([])
  })

  it('a version shows its newest figures before it is promoted', async () => {
    const { page } = visits
    await visits.go('models/delay')
    await page.getByRole('button', { name: /^Promote\W+Promote version 1 of delay/ }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText(/^No request of version 1 was counted from /).waitFor()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
  })

  it('a model that cannot be rolled back says why', async () => {
    await removeModelAlias(world.db, 'delay', 'champion', { actor: 'ann' })
    await promoteModel(world.db, 'delay', 2, { actor: 'ann' })
    await expect
      .poll(async () => {
        await visits.go('models/delay')
        return await visits.page.locator('dl').allTextContents()
      })
      .toContainEqual(expect.stringContaining('not possible: there was no champion before version 2'))
    expect(await visits.page.getByRole('button', { name: /^Roll back/ }).count()).toBe(0)
  })
})
