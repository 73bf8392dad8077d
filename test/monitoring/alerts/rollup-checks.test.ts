import { describe, expect, it } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import { allPresent } from '../../../kernel/states/state.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createRollups } from '../../../monitoring/rollups/create-rollups.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import type { Role } from '../../../monitoring/role.ts'
import { checkOf } from '../../../registry/define/check-options.ts'
import type { StatedCheck } from '../../../registry/define/check-options.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import { during, openServer } from '../../opened-database.ts'
import { servicePlan } from '../../serving/plans.ts'
import { unlessSlow } from '../../unless-slow.ts'
import { clockMonitor, minute } from './monitors.ts'

const opened = during(() => openServer())
const day = Math.floor((Date.now() * 1000) / (1440 * minute) - 2) * 1440 * minute
const service = servicePlan('typed')

/** Fifteen minutes in which a model answers so many requests a minute, and fails for some of them. */
async function serve(
  model: string,
  { answers, fails, ms, bypassed = 0 }: { answers: number; fails: number; ms: number; bypassed?: number },
): Promise<void> {
  let now = day
  const log = createLogger('silent')
  const writer = createRollupWriter({ database: () => opened().db, log })
  const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => now }, { rowsPerSecond: 1000 })
  const row = service.evaluate(
    [{ values: service.features.map(() => null), statuses: allPresent(service.features.length), eventTime: day }],
    [],
    day,
  )
  const group = {
    model: { service, outputs: [{ name: 'score', type: { kind: 'float64' } }], version: { model, version: 1 } },
    role: 'champion',
    rows: [0],
    read: { entities: [{ keys: ['a'], request: [] }], rows: [row] },
  } as const
  for (let i = 0; i < 15; i++) {
    now = day + i * minute
    await recorder.flush()
    for (let n = 0; n < answers; n++) recorder.answered(group, [[0.5]], { totalMs: ms, featuresMs: 1, waitMs: 1, runMs: ms - 2 }, 1)
    for (let n = 0; n < fails; n++) recorder.failed(model, 1, 'champion', new LockstepError('MODEL_FAILED', 'It failed.'))
    for (let n = 0; n < bypassed; n++) recorder.bypassed(model, 2, 'canary', new LockstepError('MODEL_FAILED', 'It failed.'))
    for (let n = 0; n < fails; n++) recorder.failed(model, 1, 'champion', new LockstepError('INVALID_ENTITY', 'It is wrong.'))
  }
  now = day + 15 * minute
  await recorder.flush()
}

/** Hours from 4 weeks before `day` on. */
const lastHour = 4 * 168 + 1

/** Writes the figures of hours, from the first to the last, numbered from 1 to `lastHour`. */
async function writeHours(model: string, role: Role | '', requests: number, [first, last]: readonly [number, number]): Promise<void> {
  const isCovered = model === '' || role === 'backfill'
  await opened().db.query(
    `INSERT INTO lockstep.merged_rollups (step, at, model, version, role, parts, traffic, columns, coverage)
     SELECT 'hour', at, $1, 1, $2, 1, decode($3, 'hex'), NULL, $4::json
     FROM generate_series(to_timestamp($5) - interval '4 weeks', to_timestamp($5), interval '1 hour') WITH ORDINALITY AS t (at, n)
     WHERE n BETWEEN $6 AND $7 ON CONFLICT DO NOTHING`,
    [
      model,
      role,
      Object.assign(new TrafficSummary(), { requests }).encode().toString('hex'),
      isCovered ? '{"minutes":60,"missing":[]}' : null,
      day / 1e6 - 3600,
      first,
      last,
    ],
  )
}

async function check(model: string, stated: StatedCheck) {
  const monitor = clockMonitor('m', { target: { kind: 'model', model }, checks: [checkOf(stated, 'A monitor')] })
  const { db } = opened()
  const deps = { db, store: null, catalog: await loadCatalog(db), clock: () => Date.now() * 1000, signal: new AbortController().signal }
  const [checked] = await evaluateMonitor(deps, monitor, day + 17 * minute)
  expect(checked?.error).toBeNull()
  return checked?.results ?? []
}

it('the check of clocks names a server whose clock is wrong, by what it wrote itself', async () => {
  const { db } = opened()
  const clocks = async () => (await check('any', { kind: 'clock' })).map(({ subject, state, n, cause }) => ({ subject, state, n, cause }))
  expect(await clocks()).toMatchObject([{ subject: 'workers', state: 'ok' }])
  const writeMinute = async (process: string, aheadMicros: number) => {
    const clock = () => Date.now() * 1000 + aheadMicros
    const writer = createRollupWriter({ database: () => db, log: createLogger('silent'), clock })
    writer.end(day, process, false)
    await writer.write()
  }
  await writeMinute('a:1', 100_000)
  await writeMinute('b:2', -500_000)
  expect((await clocks())[1]).toEqual({ subject: 'servers', state: 'ok', n: 2, cause: null })
  // so does one whose rollups are off
  const withoutRollups = createRollups(
    () => db,
    null,
    createLogger('silent'),
    () => Date.now() * 1000,
  )
  await withoutRollups.flush()
  await withoutRollups.close(0)
  expect((await clocks())[1]).toMatchObject({ state: 'ok', n: 3 })
  // half of the time that the database needs is the error
  await unlessSlow(100, async () => {
    await writeMinute('b:2', -9_000_000)
    await writeMinute('c:3', 4_000_000)
    expect((await clocks())[1]).toMatchObject({
      state: 'breach',
      n: 4,
      cause: expect.stringMatching(/^The clock of the server "b:2" is (8\.9|9\.0) s behind .* Those of 1 other servers are wrong, too\.$/),
    })
  })
  // servers that are gone say nothing
  await db.query(`update lockstep.server_clocks set read_at = read_at - interval '6 minutes' where process <> 'a:1'`)
  expect((await clocks())[1]).toMatchObject({ state: 'ok', n: 1 })
})

describe('checks of rollups', () => {
  it('page where a model fails, and say how; wrong requests do not count', async () => {
    await serve('failing', { answers: 18, fails: 2, ms: 10 })
    const [fast, slow] = await check('failing', { kind: 'errors' })
    expect(fast).toMatchObject({ subject: 'failing (fast burn)', state: 'breach', severity: 'page', n: 330 })
    expect(fast?.evidence).toMatchObject({ errors: 30, codes: { MODEL_FAILED: 30 } })
    expect(fast?.cause).toContain('Most are MODEL_FAILED (30).')
    expect(slow).toMatchObject({ subject: 'failing (slow burn)', state: 'breach', severity: 'ticket' })
    expect((await check('failing', { kind: 'errors', minErrors: 31 })).map(({ state }) => state)).toEqual(['ok', 'ok'])
  })

  it('breach where answers take too long, and name the longest part', async () => {
    await serve('slow', { answers: 20, fails: 0, ms: 80 })
    expect(await check('slow', { kind: 'latency', max: '50ms' })).toMatchObject([{ state: 'breach', threshold: 50, n: 300 }])
    const [{ cause } = { cause: '' }] = await check('slow', { kind: 'latency', max: '50ms' })
    expect(cause).toContain('50ms is allowed. The longest part is "run".')
    expect(await check('slow', { kind: 'latency', max: '100ms' })).toMatchObject([{ state: 'ok', cause: null }])
  })

  it('are unknown without history, and without requests', async () => {
    await serve('new', { answers: 20, fails: 0, ms: 10, bypassed: 10 })
    // what the champion made good is no error
    expect(await check('new', { kind: 'errors' })).toMatchObject([
      { state: 'ok', n: 300 },
      { state: 'ok', n: 300 },
    ])
    expect(await check('new', { kind: 'latency' })).toMatchObject([{ state: 'unknown' }])
    const cause = `There is no complete hour of "new" yet: servers have written counts since ${new Date(day / 1000).toISOString().replace('.000', '')}.`
    expect(await check('new', { kind: 'traffic' })).toMatchObject([{ state: 'unknown', cause }])
    expect(await check('none', { kind: 'errors' })).toMatchObject([{ state: 'unknown' }, { state: 'unknown' }])
    expect(await check('none', { kind: 'latency' })).toMatchObject([{ state: 'unknown', n: 0 }])
  })

  it('compare traffic with what clients asked, and not with backfilled rows', async () => {
    for (const role of ['champion', 'backfill'] as const) {
      await writeHours(`usually ${role}`, role, 9, [1, lastHour - 1])
      await writeHours(`usually ${role}`, 'champion', 900, [lastHour, lastHour])
    }
    // servers ran in the last hour only: the hours before are no history of zeros
    await writeHours('', '', 0, [lastHour, lastHour])
    expect(await check('usually backfill', { kind: 'traffic' })).toMatchObject([{ state: 'unknown', n: 0, evidence: { requests: 900 } }])
    await writeHours('', '', 0, [1, lastHour - 1])
    expect(await check('usually champion', { kind: 'traffic' })).toMatchObject([{ state: 'breach', evidence: { requests: 900, usual: 9 } }])
    expect(await check('usually backfill', { kind: 'traffic' })).toMatchObject([{ state: 'ok', evidence: { requests: 900, usual: 0 } }])
  })

  it('count no backfilled row as a request that did not fail', async () => {
    await serve('backfilled', { answers: 18, fails: 2, ms: 10 })
    await writeHours('backfilled', 'backfill', 1_000_000, [lastHour - 3, lastHour])
    const burning = { state: 'breach', n: 330, evidence: { errors: 30 } }
    expect(await check('backfilled', { kind: 'errors' })).toMatchObject([burning, burning])
  })
})
