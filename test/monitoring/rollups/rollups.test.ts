import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { ServiceRow } from '../../../kernel/service-plan.ts'
import { allPresent, Status } from '../../../kernel/states/state.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import type { AnsweredGroup } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import type { BaselineBins } from '../../../monitoring/rollups/row-recorder.ts'
import { createServedBaselines } from '../../../monitoring/rollups/served-baselines.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { forgetEntity, parseForgetNotice } from '../../../monitoring/rollups/forget-entity.ts'
import { readServedAges, servedAgeSeries } from '../../../monitoring/freshness/served-ages.ts'
import { mergeRollups } from '../../../monitoring/rollups/merge-rollups.ts'
import { trafficReport } from '../../../monitoring/report/traffic-report.ts'
import { modelStatistics, trafficStatistics } from '../../../monitoring/rollups/model-statistics.ts'
import { readRollupGroups, readRollup, rollupSeries, statusSeries } from '../../../monitoring/rollups/read-rollups.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { createLogger } from '../../../runtime/log.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import { during, openServer } from '../../opened-database.ts'
import { servicePlan } from '../../serving/plans.ts'
import { trafficChart } from '../../../serving/dashboard/models/traffic-charts.ts'

const opened = during(() => openServer())

const [minute, hour] = [60_000_000, 3_600_000_000]
/** Two days ago, so that days and hours are over. Epoch microseconds, the begin of a day. */
const day = Math.floor((Date.now() * 1000) / (24 * hour) - 2) * 24 * hour
const days = { minute: 7, hour: 90, day: 730 }
const service = servicePlan('typed')
const version = {
  service,
  outputs: [
    { name: 'score', type: { kind: 'float64' } },
    { name: 'label', type: { kind: 'string' } },
  ],
} as const
const baseline = {
  columns: new Map([
    ['count', { bins: { kind: 'number', edges: [0, 10, 100] }, binsId: 'count' }],
    ['open', { bins: { kind: 'category', values: ['true', 'false'] }, binsId: 'open' }],
    ['output:score', { bins: { kind: 'number', edges: [0.5] }, binsId: 'score' }],
  ] as const),
}

interface Request {
  readonly entity: string
  readonly values: readonly (Value | null)[]
  readonly score: number
  readonly label: string
  readonly ms: number
  readonly fails: boolean
}

/** A server process, as far as rollups know it. */
function startProcess(
  model: string,
  database: () => Database = () => opened().db,
  baselineOf: (model: string, version: number) => BaselineBins | null = () => baseline,
) {
  let now = day
  const log = createLogger('silent')
  const writer = createRollupWriter({ database, log })
  const recorder = createRollupRecorder({ writer, baselineOf, log, clock: () => now }, { rowsPerSecond: 1_000_000 })
  return {
    recorder,
    writer,
    /** Sets the clock, and writes the minutes that are over. */
    async at(moment: number) {
      now = moment
      await recorder.flush()
    },
    answer({ entity, values, score, label, ms, fails }: Request) {
      if (fails) return recorder.failed(model, 1, 'champion', new LockstepError('MODEL_FAILED', 'It failed.'))
      const statuses = values.every((value) => value !== null)
        ? allPresent(values.length)
        : values.map((value) => (value === null ? Status.nullValue : Status.present))
      const row: ServiceRow = service.evaluate([{ values, statuses, eventTime: day }], [], day)
      const group: AnsweredGroup = {
        model: { ...version, version: { model, version: 1 } },
        role: 'champion',
        rows: [0],
        read: { entities: [{ keys: [entity], request: [] }], rows: [row] },
      }
      recorder.answered(group, [[score, label]], { totalMs: ms, featuresMs: ms / 2, waitMs: ms / 8, runMs: ms / 4 }, 1)
    },
  }
}

const nullable = (values: fc.Arbitrary<Value>) => fc.option<Value>(values)
const request: fc.Arbitrary<Request> = fc.record({
  entity: fc.integer({ min: 0, max: 30 }).map((airport) => `A${airport}\0`),
  values: fc.tuple(
    nullable(fc.double().map(Math.fround)),
    fc.oneof(fc.bigInt({ min: -5n, max: 200n }), fc.constant(2n ** 60n)),
    fc.constantFrom('Atlanta', 'Boston', 'nowhere'),
    fc.boolean(),
    nullable(fc.constant(Float32Array.of(1, 2))),
  ),
  score: fc.double({ min: 0, max: 1, noNaN: true }),
  label: fc.constantFrom('late', 'in time'),
  ms: fc.integer({ min: 1, max: 1000 }),
  fails: fc.integer({ min: 0, max: 9 }).map((draw) => draw === 0),
})

const bytes = (model: string, step: string) =>
  opened().db.query(
    `select encode(traffic, 'hex') as traffic, encode(columns, 'hex') as columns from lockstep.merged_rollups where model = $1 and step = $2`,
    [model, step],
  )

test('any split over processes, minutes and restarts gives the bytes of one process', async () => {
  const requests = fc.sample(request, { numRuns: 300, seed: 7 })
  const one = startProcess('one')
  await one.at(day + 5 * minute)
  for (const each of requests) one.answer(each)
  await one.recorder.close(60_000)
  // three processes, of which two are started again, over 50 minutes
  let processes = [0, 1, 2].map(() => startProcess('many'))
  for (let m = 0; m < 50; m++) {
    for (const each of processes) await each.at(day + m * minute)
    for (const [i, each] of requests.entries()) if (i % 50 === m) processes[i % 3]?.answer(each)
    if (m === 20) {
      for (const each of processes.slice(1)) await each.recorder.close(60_000)
      processes = [processes[0], startProcess('many'), startProcess('many')].flatMap((each) => each ?? [])
    }
  }
  for (const each of processes) await each.recorder.close(60_000)
  const window = { model: 'many', from: day, to: day + hour }
  const before = await readRollup(opened().db, window)
  await mergeRollups(opened().db, days, Date.now() * 1000)
  for (const step of ['hour', 'day']) expect(await bytes('many', step)).toEqual(await bytes('one', step))
  const rollups = [
    before,
    await readRollup(opened().db, window),
    await readRollup(opened().db, { ...window, model: 'one', to: day + 24 * hour }),
  ]
  for (const rollup of rollups) {
    const answered = requests.filter(({ fails }) => !fails)
    expect(rollup).toMatchObject({ requests: 300, rows: answered.length, sampledRows: answered.length, cacheHits: answered.length })
    expect(rollup.errors).toEqual(new Map([['MODEL_FAILED', 300 - answered.length]]))
    expect(rollup.columns.get('open')?.values?.top).toEqual(
      [true, false]
        .map((value) => ({ value: String(value), count: answered.filter(({ values }) => values[3] === value).length }))
        .sort((a, b) => b.count - a.count),
    )
    const count = rollup.columns.get('count')
    expect(count?.bins[0]?.counts.slice(4)).toEqual([
      answered.filter(({ values }) => Number(values[1]) <= 0).length,
      answered.filter(({ values }) => Number(values[1]) > 0 && Number(values[1]) <= 10).length,
      answered.filter(({ values }) => Number(values[1]) > 10 && Number(values[1]) <= 100).length,
      answered.filter(({ values }) => Number(values[1]) > 100).length,
    ])
    expect(count?.bins[0]?.sums.entities).toBe(new Set(answered.map(({ entity }) => entity)).size)
    expect(rollup.entities).toBe(count?.bins[0]?.sums.entities)
    const vec = answered.filter(({ values }) => values[4] === null).length
    expect(rollup.columns.get('vec')?.statuses).toMatchObject({ NULL_VALUE: vec, PRESENT: answered.length - vec })
    expect(rollup.columns.get('output:score')?.moments?.count).toBe(answered.length)
    const times = answered.map(({ ms }) => ms).sort((a, b) => a - b)
    expect((rollup.latency.total.quantile(0.5) ?? 0) / (times[Math.ceil(times.length / 2) - 1] ?? 0)).toBeCloseTo(1, 1)
  }
})

test('rows are counted over the bins of a baseline as soon as the server has read it, in the same minute', async () => {
  const requests = fc.sample(request, { numRuns: 40, seed: 3 }).map((each) => ({ ...each, fails: false }))
  const server = startProcess(
    'first_minute',
    undefined,
    createServedBaselines(() => Promise.resolve(baseline), createLogger('silent')),
  )
  await server.at(day + minute)
  const [first, ...others] = requests
  if (first !== undefined) server.answer(first)
  await setImmediate()
  for (const each of others) server.answer(each)
  await server.recorder.close(60_000)
  const { rows, columns } = await readRollup(opened().db, { model: 'first_minute', from: day, to: day + hour })
  const counted = (name: string) => columns.get(name)?.bins.map(({ counts }) => counts.reduce((sum, count) => sum + count, 0))
  expect({ rows, count: counted('count'), score: counted('output:score') }).toEqual({ rows: 40, count: [39], score: [39] })
})

test('a baseline that is read again stays the same object until its bins change', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => void vi.useRealTimers())
  let columns = new Map(baseline.columns)
  const served = createServedBaselines(() => Promise.resolve({ columns: new Map(columns) }), createLogger('silent'))
  const next = async () => {
    vi.advanceTimersByTime(60_000)
    served('kept', 1)
    await setImmediate()
    return served('kept', 1)
  }
  const first = await next()
  expect(first?.columns).toEqual(columns)
  expect(await next()).toBe(first)
  columns = new Map([...columns].map(([name, column]) => [name, { ...column, binsId: `${column.binsId} changed` }] as never))
  expect((await next())?.columns).toEqual(columns)
})

test('the traffic of several models is one read of their minutes, without columns', async () => {
  const { db } = opened()
  const models = ['red', 'green', 'blue']
  const window = { from: day + 20 * hour, to: day + 20 * hour + 5 * minute }
  for (const [i, model] of models.entries()) {
    const server = startProcess(model)
    for (let m = i; m < 5; m++) {
      await server.at(window.from + m * minute)
      for (const each of fc.sample(request, { numRuns: 5, seed: i * 5 + m })) server.answer(each)
    }
    await server.recorder.close(60_000)
  }
  const queries: string[] = []
  const countedHours: unknown[] = []
  const rows: Record<string, unknown>[] = []
  const query: Database['query'] = async (...asked) => {
    const answer = await db.query<never>(...asked)
    queries.push(asked[0])
    if (asked[0].includes("date_trunc('hour', at)")) countedHours.push(asked[1]?.slice(0, 2))
    rows.push(...answer)
    return answer
  }
  const all = await trafficStatistics({ query }, { ...window, models, byVersion: true })
  const read = rows.filter((row) => 'traffic' in row)
  expect(models.map((model) => read.filter((row) => row['model'] === model).length)).toEqual([5, 4, 3])
  expect(read).toHaveLength(12)
  expect(read.every(({ columns }) => columns === null)).toBe(true)
  // no other hour of the day is counted
  expect(countedHours).toEqual([[window.from, window.from + hour]])
  const asked = queries.splice(0)
  await trafficStatistics({ query }, { ...window, models: ['red'], byVersion: true })
  expect(asked).toEqual(queries)
  for (const model of models) {
    const { from, to, groups, series, total } = await modelStatistics(db, { ...window, model, by: ['version'], step: 'minute' })
    const { entities: _, columns: __, ...traffic } = total
    expect(all.get(model)).toEqual({ from, to, groups, series, total: traffic })
  }
})

test('the statuses of one column are those that a series of all columns has', async () => {
  const { db } = opened()
  const start = day + 14 * hour
  const server = startProcess('statuses')
  for (const [i, at] of [start, start + minute, start + 2 * hour].entries()) {
    await server.at(at)
    for (const each of fc.sample(request, { numRuns: 20, seed: i })) server.answer(each)
  }
  await server.recorder.close(60_000)
  const query = { model: 'statuses', from: start, to: start + 3 * hour, step: 'hour' } as const
  for (const merges of [false, true]) {
    if (merges) await mergeRollups(db, days, Date.now() * 1000)
    const all = await rollupSeries(db, query)
    for (const column of ['vec', 'open', 'output:label', 'none']) {
      const expected = all.map(({ at, rollup }) => {
        const counts = Object.entries(rollup?.columns.get(column)?.statuses ?? {}).filter(([, count]) => count > 0)
        return { at, statuses: new Map(counts) }
      })
      expect(await statusSeries(db, { ...query, column })).toEqual(expected)
    }
    expect((await statusSeries(db, { ...query, column: 'vec' }))[0]?.statuses.get('NULL_VALUE')).toBeGreaterThan(0)
  }
})

test('a minute that is written late, or twice, counts once', async () => {
  const { db } = opened()
  const [request1] = fc.sample(
    request.filter(({ fails }) => !fails),
    { numRuns: 1, seed: 1 },
  )
  if (request1 === undefined) return
  const start = day + 2 * hour
  const early = startProcess('late')
  await early.at(start)
  early.answer(request1)
  await early.recorder.close(60_000)
  await mergeRollups(db, days, Date.now() * 1000)
  // the database is down for three minutes, after which the hour was merged
  let isDown = true
  let losesAnswers = false
  const query: Database['query'] = async (...asked) => {
    const rows = await db.query<never>(...asked)
    if (losesAnswers) throw new LockstepError('POSTGRES_UNAVAILABLE', 'The connection is lost.')
    return rows
  }
  const late = startProcess('late', () => {
    if (isDown) throw new LockstepError('POSTGRES_UNAVAILABLE', 'It is down.')
    return { ...db, query }
  })
  for (let m = 0; m < 3; m++) {
    await late.at(start + m * minute)
    late.answer(request1)
  }
  await late.at(start + 3 * minute)
  // with the hours before it, which nobody answered in
  expect(late.writer.waiting).toBe(4)
  const window = { model: 'late', from: start, to: start + hour }
  expect((await readRollup(db, window)).requests).toBe(1)
  isDown = false
  losesAnswers = true
  await late.recorder.flush()
  losesAnswers = false
  await late.recorder.flush()
  expect((await readRollup(db, window)).requests).toBe(4)
  await late.recorder.close(60_000)
  await mergeRollups(db, days, Date.now() * 1000)
  await mergeRollups(db, days, Date.now() * 1000)
  expect((await readRollup(db, window)).requests).toBe(4)
  expect((await readRollup(db, { ...window, from: day, to: day + 24 * hour })).requests).toBe(4)
})

test('a killed process leaves a gap, and silence is zero', async () => {
  const { db } = opened()
  const start = day + 4 * hour
  const killed = startProcess('gaps')
  for (let m = 0; m <= 3; m++) await killed.at(start + m * minute)
  // minutes 0 to 2 are written; the process is killed in minute 3, and the next one starts in minute 6
  const next = startProcess('gaps')
  for (let m = 6; m <= 8; m++) await next.at(start + m * minute)
  await next.recorder.close(60_000)
  const read = async () => await rollupSeries(db, { model: 'gaps', from: start, to: start + 10 * minute, step: 'minute' })
  const series = await read()
  expect(series.map(({ rollup }) => rollup?.requests ?? null)).toEqual([0, 0, 0, null, null, null, 0, 0, 0, null])
  const missing = [{ from: start + 3 * minute, to: start + 6 * minute }]
  expect((await readRollup(db, { model: 'gaps', from: start, to: start + 10 * minute })).coverage).toEqual({ minutes: 6, missing })
  await mergeRollups(db, days, Date.now() * 1000)
  expect((await readRollup(db, { model: 'gaps', from: start, to: start + hour })).coverage).toEqual({ minutes: 6, missing })
  expect(await read()).toHaveLength(10)
  const byHour = await rollupSeries(db, { model: 'gaps', from: start, to: start + 2 * hour, step: 'hour' })
  expect(byHour.map(({ rollup }) => rollup?.requests ?? null)).toEqual([0, null])
})

test('a process that ends while a minute begins leaves no gap, and its last minute', async () => {
  const { db } = opened()
  const start = day + 10 * hour
  const server = startProcess('ending')
  await server.at(start)
  server.recorder.failed('ending', 1, 'champion', new Error('no'))
  server.recorder.errorAnswered(new Error('no'))
  for (const seconds of [1, 5, 5, 100]) server.recorder.servedAge('seen@1', seconds)
  const closing = server.recorder.close(60_000)
  await server.at(start + minute)
  await closing
  const rollup = await readRollup(db, { model: 'ending', from: start, to: start + hour })
  expect(rollup).toMatchObject({ requests: 1, processErrors: new Map([['INTERNAL', 1]]), coverage: { minutes: 1, missing: [] } })
  const ages = async () => (await readServedAges(db, { from: start, to: start + hour })).byView.get('seen@1')
  const before = await ages()
  expect(before?.answers).toBe(4)
  for (const [name, seconds] of [
    ['leastSeconds', 1],
    ['medianSeconds', 5],
    ['p95Seconds', 100],
  ] as const)
    expect(Math.abs((before?.[name] ?? 0) / seconds - 1)).toBeLessThan(0.051)
  await mergeRollups(db, days, Date.now() * 1000)
  expect(await ages()).toEqual(before)
  expect((await readServedAges(db, { from: start + hour, to: start + 2 * hour })).byView.size).toBe(0)
})

test('the ages of a window and of its hours come from one read, whether or not its hours were merged', async () => {
  const { db } = opened()
  const start = day + 20 * hour
  const server = startProcess('aging')
  for (let n = 0; n < 3 * 6; n++) {
    await server.at(start + n * 10 * minute)
    server.recorder.servedAge('aging@1', n + 1)
  }
  await server.at(start + 3 * hour)
  for (const kept of ['minutes', 'minutes and hours', 'hours']) {
    if (kept === 'minutes and hours') await mergeRollups(db, days, Date.now() * 1000)
    if (kept === 'hours') await db.query('delete from lockstep.rollups where at >= to_timestamp($1::float8)', [start / 1e6])
    for (const [from, first] of [
      [start, 6],
      [start + minute / 2, 6],
      [start + 30 * minute, 3],
      [start + 59 * minute, 0],
    ] as const) {
      const window = { from, to: start + 2 * hour + 50 * minute }
      const { total, hours, ...bounds } = await servedAgeSeries(db, 'aging@1', window)
      const { byView, ...expected } = await readServedAges(db, window)
      expect(total).toEqual(byView.get('aging@1'))
      expect(bounds).toEqual(expected)
      expect(total?.answers).toBe(kept === 'hours' ? 18 : first + 11)
      expect(hours.map(({ at, age }) => [at, age?.answers])).toEqual([
        [start, 6],
        [start + hour, 6],
        [start + 2 * hour, kept === 'hours' ? 6 : 5],
      ])
    }
  }
})

test('an erased entity leaves no trace in minutes, hours, days, or what a server has not written', async () => {
  const { db } = opened()
  const start = day + 8 * hour
  const requests = fc.sample(
    request.filter(({ fails }) => !fails),
    { numRuns: 60, seed: 3 },
  )
  const asked = requests.map((each, i) => (i % 3 === 0 ? { ...each, entity: 'Atlanta\0' } : each))
  let isDown = false
  const server = startProcess('erased', () => {
    if (isDown) throw new LockstepError('POSTGRES_UNAVAILABLE', 'It is down.')
    return db
  })
  for (const [m, each] of asked.entries()) {
    // the last ten minutes wait for the database
    isDown = m >= 50
    await server.at(start + m * minute)
    server.answer(each)
  }
  await mergeRollups(db, days, Date.now() * 1000)
  const window = { model: 'erased', from: start, to: start + hour }
  expect((await readRollup(db, window)).columns.get('city')?.values?.top.map(({ value }) => value)).toContain('Atlanta')
  const notices: (string | null)[] = []
  const stop = await db.listen('lockstep_registry', (notice) => {
    const erased = notice === null ? null : parseForgetNotice(notice)
    if (erased !== null) server.recorder.forget(erased)
    notices.push(notice)
  })
  // it listens
  await expect.poll(() => notices).toEqual([null])
  const airport = { name: 'airport', key: [{ name: 'airport', type: { kind: 'string' } }] } as const
  // of the hour, the day, and the minutes
  expect(await forgetEntity(db, airport, ['Atlanta'])).toBeGreaterThan(20)
  await expect.poll(() => notices.length).toBe(2)
  isDown = false
  await server.recorder.close(60_000)
  await stop()
  expect(await forgetEntity(db, airport, ['Atlanta'])).toBe(0)
  await mergeRollups(db, days, Date.now() * 1000)
  expect(await forgetEntity(db, airport, ['Atlanta'])).toBe(0)
  for (const to of [start + hour, day + 24 * hour]) {
    const rollup = await readRollup(db, { ...window, to })
    const others = asked.filter(({ entity }) => entity !== 'Atlanta\0')
    expect(rollup).toMatchObject({ rows: 60, entities: new Set(others.map(({ entity }) => entity)).size })
    expect(rollup.columns.get('count')?.bins[0]?.sums.counts.reduce((sum, count) => sum + count, 0)).toBe(others.length)
    expect(rollup.columns.get('city')?.values).toMatchObject({ complete: false })
    expect(
      rollup.columns
        .get('city')
        ?.values?.top.map(({ value }) => value)
        .toSorted(),
    ).toEqual(['Boston', 'nowhere'])
  }
})

test('groups are by version and role, and old minutes are read from their hours', async () => {
  const { db } = opened()
  const start = day + 6 * hour
  const process = startProcess('groups')
  await process.at(start)
  for (const [number, role] of [
    [1, 'champion'],
    [2, 'canary'],
    [2, 'requested'],
  ] as const)
    process.recorder.failed('groups', number, role, new Error('no'))
  for (let i = 0; i < 3; i++) process.recorder.bypassed('groups', 2, 'canary', new LockstepError('MODEL_FAILED', 'It failed.'))
  await process.recorder.close(60_000)
  await mergeRollups(db, days, Date.now() * 1000)
  await db.query('delete from lockstep.rollups')
  const window = { model: 'groups', from: start + 7 * minute, to: start + 30 * minute }
  const groups = await readRollupGroups(db, window, ['version', 'role'])
  expect(groups.map(({ version: number, role, rollup }) => [number, role, rollup.requests, [...rollup.errors.keys()]])).toEqual([
    [1, 'champion', 1, ['INTERNAL']],
    [2, 'canary', 1, ['INTERNAL']],
    [2, 'requested', 1, ['INTERNAL']],
  ])
  const canary = await readRollup(db, { ...window, versions: [2], roles: ['canary'] })
  expect(canary).toMatchObject({ requests: 1, from: start, to: start + hour, bypassed: new Map([['MODEL_FAILED', 3]]) })
  const { versions } = await trafficReport(db, window)
  expect(versions.map(({ requests, failed, bypassed }) => [requests, failed, bypassed])).toEqual([
    [1, 1, 0],
    [1, 1, 3],
    [1, 1, 0],
  ])
  const lines = await rollupSeries(db, { ...window, step: 'hour', by: 'version' })
  expect(lines.map(({ of, rollup }) => [of, rollup?.requests])).toEqual([
    ['1', 1],
    ['2', 2],
  ])
})

test('the chart of requests says whether its points are minutes, or hours that were merged', async () => {
  const { db } = opened()
  const start = day + 12 * hour
  const server = startProcess('charted')
  for (const at of [start, start + minute, start + hour, start + hour + minute]) {
    await server.at(at)
    server.recorder.failed('charted', 1, 'champion', new Error('no'))
  }
  await server.recorder.close(60_000)
  const window = { models: ['charted'], from: start + hour / 2, to: start + hour + hour / 2, byVersion: false }
  const finding = async () => trafficChart([...(await trafficStatistics(db, window))]).finding
  expect(await finding()).toMatch(/^2 requests .*\. Each point is a minute\.$/)
  await mergeRollups(db, days, Date.now() * 1000)
  await db.query('delete from lockstep.rollups')
  expect(await finding()).toMatch(/^4 requests .*\. Each point is an hour\.$/)
})
