import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { World } from '../serving/world.ts'
import { noon } from '../serving/world.ts'
import { openDashboard } from './dashboard.ts'
import type { Visits } from './visits.ts'
import { linkedReads } from './visits.ts'

let world: World
let visits: Visits
let close: () => Promise<void>
/** Of the alert that fires, and of one that has ended. */
let firing = ''
let ended = ''

const hour = 3_600_000_000
const past = '2001-07-01T11:30:00Z'

beforeAll(async () => {
  const opened = await openDashboard(async (prepared) => {
    const insert = async (check: string, state: string, started: number, resolved: number | null): Promise<string> => {
      const evidence = { columns: [{ column: 'lastDelay', state: 'breach' }] }
      const figures = (value: number) => JSON.stringify({ value, threshold: 0.1, n: 500, cause: 'The source is late.', evidence })
      const [row] = await prepared.db.query<{ id: string }>(
        `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
         values ('model:delay', $1, 'landings (model version 1)', 'page', $2, $3, $4, case when $2 = 'resolved' then 'cleared' end, true, $5, $6, $7) returning id::text`,
        [check, state, started, resolved, JSON.stringify({ description: 'Ask the team.', runbook: null }), figures(0.3), figures(0.7)],
      )
      return row?.id ?? ''
    }
    firing = await insert('drift', 'firing', noon - hour, null)
    ended = await insert('nulls', 'resolved', noon - 3 * hour, noon - 2 * hour)
    await prepared.db.query(
      `insert into lockstep.alert_deliveries (alert, channel, key, message, state, attempts, error, created_at, ended_at)
       values ($1, 'hook', 'a', '{"event": "firing"}', 'dropped', 7, 'The channel is down.', '2001-07-01T11:00:00Z', '2001-07-01T11:45:00Z')`,
      [firing],
    )
    await prepared.db.query(
      `insert into lockstep.alert_silences (monitor, check_kind, subject, ends_at, reason, created_by, created_at)
       values ('model:delay', 'drift', null, '2001-07-01T11:20:00Z', 'known', 'ann', '2001-07-01T11:10:00Z')`,
      [],
    )
    return { embeddedDirectory: await mkdtemp(join(tmpdir(), 'embedded-')) }
  })
  ;({ world, visits, close } = opened)
})
afterAll(() => close?.())
// narrow pages have the menu in a drawer
beforeEach(() => visits.look({ width: 1280, scheme: 'light' }))

const card = () => visits.page.locator('.problem')

describe('the page of alerts', () => {
  it('leads to each alert, and to what it is about', async () => {
    await visits.go('alerts')
    for (const read of await linkedReads(visits)) {
      const status = await visits.page.evaluate<number>(
        `fetch('/ui/api/${read}', { headers: { 'x-lockstep-ui': '1' } }).then((answer) => answer.status)`,
      )
      expect([read, status]).toEqual([read, 200])
    }
    // nothing fires where no worker evaluates
    const monitors = visits.page.getByRole('region', { name: 'State of all monitors' })
    await monitors.getByText('not evaluated yet').first().waitFor()
    const links = () =>
      card()
        .getByRole('link')
        .evaluateAll((all) => all.map((link) => link.getAttribute('href')))
    await expect
      .poll(links)
      .toEqual([`/ui/alerts?alert=${firing}`, '/ui/sources/landings', '/ui/models/delay', '/ui/features/airport_delays%401.lastDelay'])
    await visits.page.getByRole('link', { name: 'model:delay: nulls of landings (model version 1)' }).click()
    await visits.page.getByRole('heading', { name: `Alert ${ended}` }).waitFor()
    await card().getByText('resolved').waitFor()
    await card()
      .getByText(/began .*, ended /)
      .first()
      .waitFor()
    expect(
      await card()
        .getByRole('button', { name: /Silence/ })
        .count(),
    ).toBe(0)
    await visits.page.getByRole('link', { name: 'All alerts' }).click()
    await visits.page.getByRole('link', { name: 'model:delay: drift of landings (model version 1)' }).click()
    await visits.page.getByRole('heading', { name: `Alert ${firing}` }).waitFor()
    expect(await visits.flaws()).toEqual([])
  })

  it('keeps its filter in the address: through an alert, the menu and the way back', async () => {
    const { page } = visits
    const box = page.getByLabel('Filter by monitor, check or subject')
    const shownAlerts = async () =>
      (
        await page
          .locator('main')
          .getByRole('link', { name: /^model:delay: / })
          .allTextContents()
      ).length
    const isFiltered = async () => {
      await expect.poll(shownAlerts).toBe(1)
      await expect.poll(() => box.inputValue()).toBe('nulls')
      await expect.poll(() => new URL(page.url()).search).toBe('?q=nulls')
    }
    await visits.go('alerts')
    await expect.poll(shownAlerts).toBe(2)
    await box.fill('nul')
    await page.waitForURL(/\?q=nul$/)
    await box.fill('nulls')
    await page.waitForURL(/\?q=nulls$/)
    await isFiltered()
    await page.getByRole('link', { name: /^model:delay: nulls/ }).click()
    await page.getByRole('heading', { name: `Alert ${ended}` }).waitFor()
    await page.getByRole('link', { name: 'Alerts with “nulls”' }).click()
    await isFiltered()
    await page.getByRole('link', { name: 'Alerts', exact: true }).click()
    await isFiltered()
    await page.reload()
    await isFiltered()
    // another page has no such filter, and the way back has it again
    await page.getByRole('link', { name: 'Jobs', exact: true }).click()
    await page.waitForURL(/\/jobs$/)
    await page.goBack()
    await isFiltered()
    await page.getByRole('button', { name: 'Clear the filter' }).click()
    await expect.poll(shownAlerts).toBe(2)
    await expect.poll(async () => [await box.inputValue(), new URL(page.url()).search]).toEqual(['', ''])
    // each letter is no step of the browser's way back
    await page.goBack()
    await isFiltered()
  })

  it('shows the figures of an alert, and who was notified of it', async () => {
    await visits.go(`alerts?alert=${firing}`)
    for (const text of [
      'Act now',
      'About the monitor: Ask the team.',
      'when it fired0.3, of 500 rows',
      'newest0.7, of 500 rows',
      'Threshold0.1',
    ])
      await expect.poll(() => card().textContent()).toContain(text)
    const notified = visits.page.getByRole('region', { name: 'Notifications of the alert' })
    await expect
      .poll(() => notified.locator('tbody td').allTextContents())
      .toEqual(expect.arrayContaining(['hook', 'firing', 'dropped', '7', 'The channel is down.']))
  })

  it('shows as of a moment the silence, figures and notifications of then, and nothing to act on', async () => {
    await visits.go(`alerts?alert=${firing}&asOf=${past}`)
    await card().getByText('Urgent').waitFor()
    await visits.page.getByText('Figures are those of when an alert fired').waitFor()
    const notified = visits.page.getByRole('region', { name: 'Notifications of the alert' }).locator('tbody td')
    await expect.poll(() => notified.allTextContents()).toEqual(['hook', 'firing', 'open', expect.any(String), '–', '–'])
    expect(await card().textContent()).not.toMatch(/Act now|newest0|lockstep alert show/)
    await visits.go(`alerts?alert=${firing}&asOf=2001-07-01T11:15:00Z`)
    await card().getByText('Silenced until 2001-07-01 11:20 UTC').waitFor()
    await visits.go(`alerts?alert=${ended}&asOf=${past}`)
    await card().getByText('resolved').waitFor()
    await visits.go(`alerts?alert=${ended}&asOf=2001-07-01T08:00:00Z`)
    await visits.page.getByText('This alert had not fired').waitFor()
    // the page of now says how urgent a problem was, and offers no command
    await visits.go(`?asOf=${past}`)
    await card().getByText('Urgent').waitFor()
    expect(await card().locator('.command').count()).toBe(0)
    await visits.go('')
    await card().getByText('Act now').first().waitFor()
    // another process cannot open the embedded database
    const { origin } = new URL(visits.page.url())
    await card().getByText(`lockstep alert show ${firing} --server ${origin}`).waitFor()
  })

  it('silences an alert and ends its silence, each with a reason', async () => {
    await visits.go(`alerts?alert=${firing}`)
    const dialog = visits.page.getByRole('dialog')
    for (const [name, said] of [
      ['Silence', 'Silenced until'],
      ['End the silence', 'Act now'],
    ] as const) {
      await card()
        .getByRole('button', { name: new RegExp(`^${name}`) })
        .click()
      await dialog.getByLabel('Reason').fill('we know')
      await dialog.getByRole('button', { name }).click()
      await dialog.waitFor({ state: 'detached' })
      await card().getByText(said).waitFor()
    }
    expect(visits.faults()).toEqual([])
  })
})

describe('a problem that is a failed job', () => {
  it('leads to the page of that job', async () => {
    const [job] = await world.db.query<{ id: string }>(
      `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, finished_at)
       values ('backfill', 'old', '', '{}', 'failed', false, false, false, 30, 7, 'test', '2001-07-01T11:00:00Z') returning id::text`,
      [],
    )
    await visits.go('')
    await visits.page.getByRole('link', { name: `The job ${job?.id} (backfill of old) failed.` }).click()
    await visits.page.getByRole('heading', { name: `Job ${job?.id}`, level: 1 }).waitFor()
    await visits.page.locator('.page-title').getByText('failed').waitFor()
    expect(await visits.flaws()).toEqual([])
    await visits.page.getByRole('link', { name: 'All jobs' }).click()
    await visits.page.getByRole('heading', { name: 'Jobs', level: 1 }).waitFor()
  })
})

describe('the page of jobs', () => {
  const rows = () => visits.page.getByRole('region', { name: 'Jobs, running ones first' }).locator('tbody tr')

  it('is filtered by kind, state and text, which stand in the address', async () => {
    const { page } = visits
    const insert = async (kind: string, state: string) =>
      (
        await world.db.query<{ id: string }>(
          `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, finished_at)
           values ($1, 'airport_delays@1', '', '{}', $2, false, false, false, 30, 7, 'ann@laptop', '2001-07-01T11:00:00Z') returning id::text`,
          [kind, state],
        )
      )[0]?.id
    const id = await insert('backfill', 'done')
    await insert('scheduled-run', 'cancelled')
    await visits.go('jobs')
    await page.getByLabel('Filter by subject, submitter or error').fill('ann@')
    await expect.poll(() => rows().count()).toBe(2)
    await page.getByLabel('Kind', { exact: true }).selectOption('backfill')
    await page.getByLabel('State', { exact: true }).selectOption('done')
    await expect.poll(() => rows().count()).toBe(1)
    await expect.poll(() => new URL(page.url()).search).toBe('?q=ann%40&kind=backfill&state=done')
    // other menu entries have no filter; that of the page and a job lead back to it
    await page.getByRole('link', { name: 'Jobs', exact: true }).click()
    await rows()
      .getByRole('link', { name: `job ${id}` })
      .click()
    await page.getByRole('heading', { name: `Job ${id}`, level: 1 }).waitFor()
    await expect.poll(() => page.locator('dl a').allTextContents()).toEqual(['airport_delays@1'])
    await page.getByRole('link', { name: 'The filtered jobs' }).click()
    await expect.poll(() => rows().count()).toBe(1)
    await expect.poll(() => page.getByLabel('State', { exact: true }).inputValue()).toBe('done')
    await page.getByLabel('State', { exact: true }).selectOption('failed')
    await page.getByText('No job is of this kind, state and text').waitFor()
    expect(await visits.flaws()).toEqual([])
    await page.goBack()
    await expect.poll(() => rows().count()).toBe(1)
  })

  it('shows the steps of a job and what a worker is at', async () => {
    const { page } = visits
    const [job] = await world.db.query<{ id: string }>(
      `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, chunks, chunks_done)
       values ('training', 'weekly', '', '{}', 'running', false, false, false, 30, 7, 'ann@laptop', 2, 1) returning id::text`,
      [],
    )
    await world.db.query(
      `insert into lockstep.job_chunks (job, step, number, data, state, attempts, worker, claim, claimable_at, doing, error) values
       ($1, 'chunk', 0, '{}', 'done', 1, 'host:1', null, now(), null, null),
       ($1, 'chunk', 1, '{}', 'open', 3, 'host:2', gen_random_uuid(), now() + interval '1 hour', '{"what": "trainer", "done": 3, "total": 4000}', '{"code": "WRITE_FAILED", "message": "The disk is full."}')`,
      [job?.id],
    )
    await visits.go(`jobs?job=${job?.id}`)
    await page.locator('.job-progress').getByText('trainer, 3 of 4,000').waitFor()
    const steps = page.getByRole('region', { name: `Steps of job ${job?.id}` }).locator('tbody tr')
    await expect
      .poll(() => steps.first().locator('td').allTextContents())
      .toEqual(['chunk 1', 'at work', '3', 'host:2', '–', 'The disk is full.'])
    expect(await visits.flaws()).toEqual([])
  })
})

it('the filter of the audit page stands in the address', async () => {
  const { page } = visits
  await visits.go('audit?what=nothing-such')
  await page.getByText('No change is recorded').waitFor()
  await page.getByLabel('What', { exact: true }).fill('')
  await page.waitForURL(/\/audit$/)
  await page.getByLabel('Also who saw values of entities').check()
  await page.waitForURL(/\/audit\?reads=with$/)
  await page.getByRole('link', { name: 'Audit', exact: true }).click()
  await expect.poll(() => page.getByLabel('Also who saw values of entities').isChecked()).toBe(true)
})
