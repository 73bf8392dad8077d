import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createContext } from '../../../cli/context.ts'
import { prepare } from '../../../cli/run.ts'
import { createTerminal } from '../../../cli/terminal.ts'
import type { ActiveMonitor } from '../../../monitoring/alerts/default-monitors.ts'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor, memoryKey } from '../../../monitoring/alerts/evaluate-monitor.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import type { OpenedServer } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'
import { numbers } from '../../runtime/jobs/number-kind.ts'
import type { MailServer } from './mail-server.ts'
import { startMailServer } from './mail-server.ts'
import type { Receiver } from './monitors.ts'
import { minute, startReceiver } from './monitors.ts'

const definitions = (
  url: string,
  mailUrl: string,
): string => `import { channel, count, entity, featureService, featureView, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const view = (name, options) => featureView(name, { version: 1, entity: card, source: payments, features: { [name + '1h']: count('1h') }, ...options })
const fresh = view('fresh', { freshness: '10m' })
export const free = view('free', {})
export const quiet = view('quiet', { freshness: '10m', monitors: 'none' })
const service = featureService('spending', { version: 1, features: [fresh] })
export const fraud = model('fraud', { service, output: { probability: t.float32 } })
export const unwatched = model('unwatched', { service, output: { probability: t.float32 }, monitors: 'none' })
export const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '1d', missing: false })
export const team = channel('team', { kind: 'alertmanager', url: '${url}' })
export const mail = channel('mail', { kind: 'email', url: '${mailUrl}', from: 'a@ops.example', to: ['a@ops.example', 'b@gone.example'], defaults: false })
`

let opened: OpenedServer
let receiver: Receiver
let mailServer: MailServer
let catalog: Catalog
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-monitors-'))
  receiver = await startReceiver()
  mailServer = await startMailServer({ disabledCommands: ['STARTTLS', 'AUTH'], authOptional: true })
  opened = await openServer()
  await applyChanges(opened.db, await load({ 'features.ts': definitions(receiver.url, `smtp://localhost:${mailServer.port}?tls=off`) }), {
    privateAddresses: true,
  })
  catalog = await loadCatalog(opened.db)
})
afterAll(async () => {
  await opened?.close()
  await receiver?.close()
  await mailServer?.close()
  await rm(folder, { recursive: true, force: true })
})

async function evaluated(
  name: string,
  moment = Date.now() * 1000,
  memories = new Map<string, unknown>(),
  options: Partial<Pick<ActiveMonitor, 'name' | 'yieldsTo' | 'windowMicros'>> = {},
) {
  const monitor = activeMonitors(catalog, true).monitors.find((each) => each.name === name)
  if (monitor === undefined) throw new Error(`There is no monitor ${name}.`)
  // it goes on: one of the checks compares it with the database's
  const began = performance.now()
  const clock = () => moment + Math.round((performance.now() - began) * 1000)
  const deps = { db: opened.db, store: null, catalog, clock, signal: new AbortController().signal }
  const checked = await evaluateMonitor(deps, { ...monitor, ...options }, moment, memories)
  expect(checked.flatMap(({ error }) => error ?? [])).toEqual([])
  return checked.flatMap(({ kind, results }) => (results ?? []).map((result) => ({ check: kind, ...result })))
}

describe('default monitors', () => {
  it('watch models, views with an objective, sources and jobs, but not those that say none', () => {
    const { monitors } = activeMonitors(catalog, true)
    expect(Object.fromEntries(monitors.map(({ name, checks }) => [name, checks.map(({ kind }) => kind).join(' ')]))).toEqual({
      'daily:fraud': 'nulls drift predictions quality',
      'model:fraud': 'parity errors latency traffic nulls drift predictions',
      'system:jobs': 'jobs clock',
      'system:rollouts': 'rollouts',
      'system:sources': 'arrivals',
      'view:fresh@1': 'freshness',
    })
    expect(new Set(monitors.flatMap(({ notify }) => notify))).toEqual(new Set(['team']))
    expect(activeMonitors(catalog, false).monitors).toEqual([])
  })

  it('are unknown for a model without a version, and say what to do', async () => {
    const results = await evaluated('model:fraud')
    expect(new Set(results.map(({ state }) => state))).toEqual(new Set(['unknown']))
    expect(results.find(({ check }) => check === 'drift')).toMatchObject({
      subject: 'fraud',
      cause: expect.stringContaining('lockstep model push fraud'),
    })
    expect(results.find(({ check }) => check === 'parity')).toMatchObject({ cause: expect.stringContaining('LOCKSTEP_LOG_PREDICTIONS') })
  })

  it('page where a view is late because its store does not answer', async () => {
    expect(await evaluated('view:fresh@1')).toMatchObject([
      { check: 'freshness', subject: 'fresh@1', state: 'breach', cause: expect.stringContaining('the online store does not answer') },
    ])
  })

  it('find a job that waits for a worker, and one that makes no progress', async () => {
    const { db } = opened
    expect(await evaluated('system:jobs')).toMatchObject([
      { check: 'jobs', state: 'ok', n: 0 },
      { check: 'clock', state: 'ok' },
    ])
    await submitJob(db, numbers, { spec: { upTo: 1 }, subject: 'numbers', worker: 'test:1' })
    await db.script(`UPDATE lockstep.jobs SET submitted_at = submitted_at - interval '20 minutes';
      UPDATE lockstep.job_chunks SET claimable_at = claimable_at - interval '20 minutes'`)
    const [waits] = await evaluated('system:jobs')
    expect(waits).toMatchObject({
      state: 'breach',
      value: 1,
      cause: expect.stringMatching(/of "numbers" waits for a worker for 20 min.*"lockstep worker" runs/),
    })
    // a monitor with the same checks that yields leaves the report to it, whichever of both runs first
    const daily = { name: 'daily:jobs', yieldsTo: 'system:jobs' }
    expect(await evaluated('system:jobs', undefined, undefined, daily)).toMatchObject([
      { subject: waits?.subject, state: 'unknown', cause: 'The monitor "system:jobs" finds the same, and reports it.' },
      { check: 'clock', state: 'ok' },
    ])
    await db.script(`UPDATE lockstep.job_chunks SET claim = gen_random_uuid(), worker = 'host:1', claimable_at = now() + interval '1 hour'`)
    const now = Date.now() * 1000
    const [held] = await evaluated('system:jobs', now)
    expect(held).toMatchObject({ state: 'ok', n: 1 })
    const memories = new Map([[memoryKey('jobs', 'jobs'), held?.memory]])
    const [stuck] = await evaluated('system:jobs', now + 31 * minute, memories)
    expect(stuck).toMatchObject({ state: 'breach', cause: expect.stringMatching(/has made no progress for 31 min on the worker "host:1"/) })

    // one that yields to a monitor with an alert about the same in the window fires no second alert
    const at = now + 31 * minute
    const fires = (check: string, resolved: number | null, resolution: 'cleared' | 'removed' | null = null) =>
      db.query(
        `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, about, started_with, result)
          values ('model:fraud', $1, 'jobs', 'ticket', $2, 1, $3, $4, '{}', '{}', '{}')`,
        [check, resolved === null ? 'firing' : 'resolved', resolved, resolution],
      )
    const yielding = { yieldsTo: 'model:fraud', windowMicros: 60 * minute }
    await fires('clock', null)
    await fires('jobs', at - 61 * minute, 'cleared')
    await fires('jobs', at - minute, 'removed')
    expect(await evaluated('system:jobs', at, memories, yielding)).toMatchObject([{ state: 'breach' }, { check: 'clock' }])
    for (const resolved of [at - 59 * minute, null]) {
      await fires('jobs', resolved, resolved === null ? null : 'cleared')
      expect(await evaluated('system:jobs', at, memories, yielding)).toMatchObject([
        { state: 'unknown', cause: expect.stringMatching(/^The alert \d+ of "model:fraud" is about the same/) },
        { check: 'clock' },
      ])
      await db.query(`delete from lockstep.alerts where resolved = $1`, [resolved])
    }
    await db.query(`delete from lockstep.alerts where monitor = 'model:fraud'`)
  })
})

it('alert test sends a test and its end to a channel, and names those that exist', async () => {
  const env = {
    LOCKSTEP_POSTGRES_URL: opened.url,
    LOCKSTEP_DIR: folder,
    LOCKSTEP_LOG_LEVEL: 'silent',
    LOCKSTEP_ALERT_PRIVATE_ADDRESSES: 'allow',
  }
  const context = createContext(loadConfig(env), createTerminal(true), new AbortController().signal)
  try {
    const run = async (...words: string[]) => await (await prepare(words))(context)
    expect((await run('alert', 'test', 'team')).text).toBe('The channel "team" accepted a test notification.')
    expect(receiver.received.map(({ path, text }) => [path, text.includes('Lockstep')])).toHaveLength(2)
    expect(receiver.received[0]?.path).toBe('/api/v2/alerts')
    await expect(run('alert', 'test', 'mail')).rejects.toMatchObject({
      code: 'DELIVERY_FAILED',
      message: expect.stringMatching(/^The channel "mail" accepted a test .* "b@gone.example" \(550 No such mailbox\)$/) as string,
    })
    expect(mailServer.received).toHaveLength(1)
    await expect(run('alert', 'test', 'oncall')).rejects.toMatchObject({ message: 'There is no channel "oncall". There are mail, team.' })
  } finally {
    await context.close()
  }
})
