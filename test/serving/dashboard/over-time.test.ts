import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourceSpec } from '../../../kernel/specs/view-spec.ts'
import { Status } from '../../../kernel/states/state.ts'
import { figuresOverTime } from '../../../monitoring/figures/stored-figures.ts'
import { ColumnSummary } from '../../../monitoring/rollups/column-summary.ts'
import { ColumnsSummary } from '../../../monitoring/rollups/columns-summary.ts'
import { writeMerged } from '../../../monitoring/rollups/merged-rollups.ts'
import { statusSeries } from '../../../monitoring/rollups/read-rollups.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { pinModel, unpinModel } from '../../../registry/models/pin-model.ts'
import { promoteModel, rollBackModel } from '../../../registry/models/promote.ts'
import { changeShare, promoteRollout, startRollout } from '../../../registry/rollouts/change-rollout.ts'
import type { Series } from '../../../serving/dashboard/contract/answer.ts'
import type { OverTimeData } from '../../../serving/dashboard/contract/model.ts'
import { outputCharts } from '../../../serving/dashboard/models/over-time-charts.ts'
import { declared, servingSet } from '../definitions.ts'
import type { World } from '../world.ts'
import { ask, createWorld, noon } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

const by = { actor: 'ann' }
const dayMs = 86_400_000
/** The begin of a day, so many days after that of noon, epoch milliseconds. */
const day = (n: number): number => Date.UTC(2001, 6, 1) + n * dayMs

/** An outcome of the model "delay" in a source. */
function landed({ spec: source }: { readonly spec: SourceSpec }) {
  const match = { kind: 'prediction', column: 'city' } as const
  const label = { type: { kind: 'float64' }, column: 'delay', code: null } as const
  const rules = { withinMicros: 86_400_000_000, missing: { kind: 'exclude' }, output: 'probabilities' } as const
  return declared({ name: 'landed', model: 'delay', source, match, ...label, ...rules })
}

let world: World
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded', { ...servingSet, outcomes: servingSet.sources.slice(0, 1).map(landed) })
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, amount, count, city, open)
    select 'A' || i, timestamptz '2001-06-20T00:00:00Z', i * 0.5, i, (array['Atlanta', 'Boston'])[1 + i % 2], i % 3 = 0 from generate_series(0, 9) i`)
  await world.materialize('airport_typed')
  for (const producer of ['', 'second']) await world.push('typed', 'named', producer)
  await promoteModel(world.db, 'typed', 1, { ...by, reason: 'the first' })
  await pinModel(world.db, 'typed', 2, by, { atOnce: true })
  await unpinModel(world.db, 'typed', by)
  // for three days nobody is there to answer
  await answer(day(-4) + dayMs / 2, [{ airports: [0, 1, 2, 3, 4] }])
  await answer(day(-1) + dayMs / 2, [{ airports: [3, 4, 5, 6, 7, 8, 9] }, { airports: [0, 1, 2], version: 2 }, { airports: [null] }])
  await answer(day(0) + dayMs / 2 - 3_600_000, [{ airports: [1, 2] }, { airports: [1] }])
  // its database would delete records of 2001 from the audit log about a minute after the start
  const { server, url } = await world.serve({ config: { bodyLimitBytes: 100_000, auditRetentionDays: 36_500 } })
  await server.whenReady()
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

/** Asks a server of its own, whose clock stands at a moment. null: no airport. */
async function answer(atMs: number, requests: readonly { airports: readonly (number | null)[]; version?: number }[]): Promise<void> {
  const { server, url } = await world.serve({
    config: { bodyLimitBytes: 100_000, rollups: { rowsPerSecond: 1000 }, logShares: { share: 1, models: new Map() } },
    clock: () => atMs * 1000,
    closeMs: 60_000,
  })
  await server.whenReady()
  for (const { airports, version } of requests) {
    const entities = airports.map((i) => ({ airport: i === null ? 7 : `A${i}` }))
    const { status, text } = await ask(url, '/v1/predict', { model: 'typed', entities, ...(version === undefined ? {} : { version }) })
    expect(status, text).toBe(airports.includes(null) ? 400 : 200)
  }
  await server.close()
}

const bodyOf = async (query = '') =>
  (await ann.ask(`/ui/api/models/typed/over-time${query}`)).body as { data: OverTimeData; sampled?: string }
const dataOf = async (query = '') => (await bodyOf(query)).data
/** The measured figures, by the beginning of the period. */
const known = ({ points }: Series) => Object.fromEntries(points.flatMap(({ t, v }) => (v === null ? [] : [[t, v]])))

/** By the test's own SQL over the rows that servers logged. */
const logged = async () =>
  await world.db.query<{ t: number; version: number; n: number; mean: number; deviation: number; atlanta: number; open: number }>(
    `select (extract(epoch from date_trunc('day', at, 'UTC')) * 1000)::float8 as t, version, count(*)::int as n,
       avg((outputs ->> 'amount_out')::float8) as mean, stddev_samp((outputs ->> 'amount_out')::float8) as deviation,
       avg((outputs ->> 'city_out' = 'Atlanta')::int)::float8 as atlanta, avg((outputs ->> 'open_out')::boolean::int)::float8 as open
     from lockstep.prediction_log where model = 'typed' group by 1, 2 order by 1, 2`,
  )
/** Student's t of 97.5 %, by degrees of freedom: from a printed table. */
const t975 = new Map([
  [2, 4.303],
  [4, 2.776],
  [6, 2.447],
])

describe('the requests and outputs of a model over time', () => {
  it('has requests and failures by day and version, and gaps where no server was', async () => {
    const { requests } = await dataOf()
    expect(requests.series.map(({ label, points }) => [label, points.length, points[0]?.t])).toEqual([
      ['typed@1', 30, day(-29)],
      ['typed@2', 30, day(-29)],
      ['typed@1 failed', 30, day(-29)],
    ])
    expect(requests.series.map(known)).toEqual([
      { [day(-4)]: 1, [day(-1)]: 2, [day(0)]: 2 },
      { [day(-4)]: 0, [day(-1)]: 1, [day(0)]: 0 },
      { [day(-4)]: 0, [day(-1)]: 1, [day(0)]: 0 },
    ])
    expect(requests.finding).toMatch(
      /^6 requests from 2001-06-02 00:00 UTC to 2001-07-01 12:00 UTC, 1 failed\. In 27 of 30 days no server was measured\./,
    )
  })

  it('has means with their intervals, and shares of values, as the logged rows have them', async () => {
    const { outputs } = await dataOf()
    // a vector is no single value
    expect(outputs.map(({ name, kind }) => `${name}: ${kind}`)).toEqual([
      'amount_out: mean',
      'city_out: shares',
      'count_out: mean',
      'open_out: shares',
    ])
    const seriesOf = (output: string, label: string) => {
      const found = outputs.find(({ name }) => name === output)?.chart.series.find((series) => series.label === label)
      return found?.points.filter(({ v }) => v !== null) ?? []
    }
    const rows = await logged()
    expect(rows.map(({ version, n }) => [version, n])).toEqual([
      [1, 5],
      [1, 7],
      [2, 3],
      [1, 3],
    ])
    for (const version of [1, 2]) {
      const own = rows.filter((row) => row.version === version)
      const close = (expected: number) => expect.closeTo(expected, 6) as number
      expect(seriesOf('amount_out', `typed@${version}`)).toEqual(
        own.map(({ t, n, mean, deviation }) => {
          const half = ((t975.get(n - 1) ?? 0) * deviation) / Math.sqrt(n)
          return { t, n, v: close(mean), low: expect.closeTo(mean - half, 3) as number, high: expect.closeTo(mean + half, 3) as number }
        }),
      )
      expect(seriesOf('city_out', `typed@${version}: Atlanta`)).toEqual(own.map(({ t, n, atlanta }) => ({ t, n, v: close(atlanta) })))
      expect(seriesOf('open_out', `typed@${version}: true`)).toEqual(own.map(({ t, n, open }) => ({ t, n, v: close(open) })))
    }
    expect(outputs[0]?.chart.finding).toMatch(
      /^amount_out: typed@1 gave a mean of 3\.00 on 2001-06-30 \(2\.00 to 4\.00, of 7 rows\)\. Before, typed@1 gave a mean of 1\.00 on 2001-06-27 /,
    )
    expect(outputs[3]?.chart.series.map(({ label }) => label)).toEqual(['typed@1: true', 'typed@2: true'])
  })

  it('has hours, and as of a moment nothing that came later', async () => {
    const hours = await dataOf('?step=hour')
    expect(hours.requests.series[0]?.points).toHaveLength(48)
    expect(known(hours.requests.series[0] as Series)).toEqual({ [day(-1) + dayMs / 2]: 2, [day(0) + dayMs / 2 - 3_600_000]: 2 })
    const then = await dataOf('?asOf=2001-07-01T03:00:00Z')
    expect(known(then.requests.series[0] as Series)).toEqual({ [day(-4)]: 1, [day(-1)]: 2 })
    expect(await dataOf('?asOf=2001-06-20T03:00:00Z')).toMatchObject({
      outputs: [],
      changes: [],
      requests: { series: [{ label: 'typed' }] },
    })
  })

  it('reads summaries of many texts, which are longer than usual, and says that values are of a sample', async () => {
    const texts = Array.from({ length: 30 }, (_, i): [string, ColumnSummary] => {
      const column = new ColumnSummary()
      for (let n = 0; n < 200; n++) column.addText(`category ${n} of column ${i}`)
      column.statuses[Status.present] = 9
      return [`a${i}`, column]
    })
    const city = new ColumnSummary()
    for (const value of ['Boston', 'Boston', 'Atlanta', 'Chicago']) city.addText(value)
    const columns = new ColumnsSummary(new Map([...texts, ['output:city_out', city]]))
    expect(columns.encode().length).toBeGreaterThan(65_536)
    const at = day(-12) * 1000
    const traffic = Object.assign(new TrafficSummary(), { requests: 3, rows: 9, sampledRows: 4 })
    await writeMerged(
      world.db,
      'day',
      { at, model: 'typed', version: 1, role: 'champion' },
      { parts: 60, traffic, columns, coverage: null },
    )
    const coverage = { minutes: 1440, missing: [] }
    const ofProcess = { parts: 1440, traffic: new TrafficSummary(), columns: null, coverage }
    await writeMerged(world.db, 'day', { at, model: '', version: 0, role: '' }, ofProcess)
    // an answer is kept for some seconds
    const { data, sampled } = await bodyOf('?asOf=2001-07-01T12:00:00Z')
    expect(known(data.requests.series[0] as Series)).toMatchObject({ [day(-12)]: 3 })
    const shares = data.outputs
      .find(({ name }) => name === 'city_out')
      ?.chart.series.flatMap(({ label, points }) => points.flatMap(({ t, v, n }) => (t === day(-12) && v !== null ? [[label, v, n]] : [])))
    expect(shares).toEqual([
      ['typed@1: Boston', 0.5, 4],
      ['typed@1: Atlanta', 0.25, 4],
      ['typed@1: Chicago', 0.25, 4],
    ])
    expect(sampled).toBe('22 of 27 rows gave the values of outputs')
    const statuses = await statusSeries(world.db, { model: 'typed', column: 'a29', from: at, to: at + 1, step: 'day' })
    expect(statuses).toEqual([{ at, statuses: new Map([['PRESENT', 9]]) }])
  })
})

describe('what changed of a model', () => {
  it('is what changed its versions, its routing, its definitions and its values, newest first, with who did it', async () => {
    const { db } = world
    await startRollout(db, 'typed', { version: 2, share: 0.2 }, by)
    await changeShare(db, 'typed', 0.5, { ...by, reason: 'no errors' })
    await promoteRollout(db, 'typed', by)
    await rollBackModel(db, 'typed', { actor: 'bob', reason: 'it was better' })
    const views = servingSet.views.map((view) =>
      view.spec.name === 'airport_typed' ? { ...view, operational: { ...view.operational, description: 'changed' } } : view,
    )
    await applyChanges(db, { ...servingSet, views }, { by: { actor: 'eve', reason: 'words' } })
    const check = `insert into lockstep.model_figures (model, kind, version, as_of, report) values ('typed', 'drift', 1, $1, $2)`
    for (const [at, drifted] of [
      ['2001-06-28T10:00:00Z', false],
      ['2001-06-29T10:00:00Z', true],
    ])
      await db.query(check, [
        at,
        JSON.stringify({
          columns: [
            { column: 'amount', drifted },
            { column: 'city', drifted: false },
          ],
        }),
      ])
    const read = async () => (await dataOf()).changes
    // a server reads what others changed a little later, and keeps an answer for some seconds
    await expect.poll(async () => (await read())[0]?.who, { timeout: 60_000 }).toBe('eve')
    const changes = await read()
    expect(changes.slice(0, -1).map(({ says, who, reason }) => [says, who, reason])).toEqual([
      ['Changed: feature view "airport_typed@1".', 'eve', 'words'],
      ['The champion was rolled back from version 2 to version 1.', 'bob', 'it was better'],
      ['Version 2 became the champion: its rollout ended.', 'ann', null],
      ['The share of version 2 was changed from 20 % to 50 %.', 'ann', 'no errors'],
      ['The rollout of version 2 began with 20 % of the requests.', 'ann', null],
      ['The model was unpinned: it was pinned to version 2.', 'ann', null],
      ['The model was pinned to version 2, which then answered all requests that name no version.', 'ann', null],
      ['Version 1 became the champion, in place of version 2.', 'ann', 'the first'],
      ['Version 2 was pushed.', 'unknown', null],
      ['Version 1 was pushed.', 'unknown', null],
      [
        'Applied for the first time: model "typed", feature service "typed@1", feature view "airport_typed@1", source "landings".',
        'unknown',
        null,
      ],
    ])
    expect(changes.at(-1)).toEqual({
      at: '2001-06-29T10:00:00.000Z',
      says: 'Drifted since then: amount of version 1.',
      who: null,
      reason: null,
      link: null,
    })
    expect(changes[0]?.link).toEqual({ kind: 'view', id: 'airport_typed@1' })
  })

  it('is marked in the charts, and is that of before the moment of the page', async () => {
    await world.db.query(`update lockstep.audit_log set at = '2001-06-30T10:00:00Z' where action = 'model.rollback'`)
    const { changes, requests, outputs } = await dataOf('?asOf=2001-07-01T04:00:00Z')
    expect(changes.map(({ at, who }) => [at, who])).toEqual([['2001-06-30T10:00:00.000Z', 'bob']])
    const marks = { label: 'changes', points: [{ t: day(-1), text: 'The champion was rolled back from version 2 to version 1.' }] }
    expect([requests.marks, outputs[0]?.chart.marks]).toEqual([marks, marks])
    expect((await dataOf('?asOf=2001-06-30T09:00:00Z')).changes).toEqual([])
  })
})

it('the chart of means has no interval of two rows, and says how many rows gave no finite number', () => {
  const periodOf = (numbers: readonly number[]) => {
    const column = new ColumnSummary()
    for (const number of numbers) column.addNumber(number)
    return { traffic: new TrafficSummary(), outputs: new Map([['score', column]]) }
  }
  const [from, to] = [day(0) * 1000, day(2) * 1000]
  const answers = {
    from,
    to,
    periods: [from, day(1) * 1000].map((at) => ({ at, isMeasured: true })),
    versions: new Map([[1, new Map([from, day(1) * 1000].map((at, i) => [at, periodOf(i === 0 ? [0.1, 0.9] : [1, 2, 3, Number.NaN])]))]]),
    rows: 6,
    sampledRows: 6,
    backfilledRows: 0,
  }
  const [{ chart } = { chart: null }] = outputCharts({ name: 'delay', step: 'day', now: to, answers })
  expect(chart?.series[0]?.points.map(({ n, low }) => [n, low !== undefined])).toEqual([
    [2, false],
    [3, true],
  ])
  expect(chart?.finding).toContain('1 of all 6 rows gave no finite number, and is left out.')
})

describe('the figures of a model over time', () => {
  it('have every point of a short time, and few of a month of hours, among them the newest', async () => {
    const report = {
      total: { predictions: 9, judged: 9, immature: 0, withoutOutcome: 0, figures: { auc: { value: 0.7, low: null, high: null, n: 9 } } },
    }
    await world.db.query(
      `insert into lockstep.model_figures (model, kind, version, as_of, report)
       select 'typed', 'quality', version, '2001-07-01T11:00:00Z'::timestamptz - hour * interval '1 hour', $1
       from (values (1, 120), (2, 721)) of (version, hours), generate_series(0, hours - 1) hour`,
      [JSON.stringify(report)],
    )
    const newest = Date.parse('2001-07-01T11:00:00Z')
    const points = await figuresOverTime(world.db, 'typed', { from: (newest - 31 * 86_400_000) * 1000, to: newest * 1000 })
    const every = (hours: number, count: number) => Array.from({ length: count }, (_, i) => newest - (count - 1 - i) * hours * 3_600_000)
    expect(points.filter(({ version }) => version === 1).map(({ asOf }) => asOf.getTime())).toEqual(every(1, 120))
    expect(points.filter(({ version }) => version === 2).map(({ asOf }) => asOf.getTime())).toEqual(every(7, 103))
    await world.db.query('delete from lockstep.model_figures')
  })

  it('are on the page of an alert of quality', async () => {
    const rmse = { value: 7, low: 6, high: 8, n: 9, reason: null }
    await world.db.query(
      `insert into lockstep.model_figures (model, kind, version, as_of, report)
       select 'delay', 'quality', 1, '2001-07-01T08:00:00Z'::timestamptz + hour * interval '1 hour', $1 from generate_series(0, 2) hour`,
      [JSON.stringify({ total: { figures: { mae: { ...rmse, value: 5 }, rmse } } })],
    )
    const add = async (check: string): Promise<string> => {
      const fired = { value: 7, threshold: 4, n: 9, cause: 'It is worse.', evidence: { figures: { mae: { value: 5 }, rmse } } }
      const [row] = await world.db.query<{ id: string }>(
        `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
         values ('model:delay', $1, 'landed', 'page', 'resolved', $2, $3, 'cleared', true, '{}', $4, $4) returning id::text`,
        [check, noon - 3_600_000_000, noon, JSON.stringify(fired)],
      )
      return row?.id ?? ''
    }
    const [quality, nulls] = [await add('quality'), await add('nulls')]
    const at = [8, 9, 10].map((hour) => Date.UTC(2001, 6, 1, hour))
    expect(await ann.data(`/alerts?id=${quality}`)).toMatchObject({
      chart: {
        label: 'RMSE of delay, each of the 7 days before',
        chart: { series: [{ label: 'delay@1', points: at.map((t) => ({ t, v: 7, low: 6, high: 8, n: 9 })) }] },
        bound: { value: 4, name: 'limit' },
      },
    })
    expect(await ann.data(`/alerts?id=${nulls}`)).toMatchObject({ chart: null })
    expect(await ann.data('/alerts')).toMatchObject({ chart: null })
    await world.db.query('delete from lockstep.alerts where id = any($1::int8[])', [[quality, nulls]])
    await world.db.query('delete from lockstep.model_figures')
  })
})
