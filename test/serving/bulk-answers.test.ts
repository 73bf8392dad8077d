import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseJson } from '../../client/json.ts'
import { tableTypeFor } from '../../serving/protocols/http/request/media-type.ts'
import { readArrow } from './read-arrow.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

const arrow = 'application/vnd.apache.arrow.stream'
const json = 'application/json'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay, amount, count, city, open, vec) values
      ('ATL', '2001-07-01T11:30:00.25Z', 25, 0.1, 9007199254740993, 'Zürich "x"', true, '{3,4}'),
      ('JFK', '2001-06-01T00:00:00Z', 7, null, null, null, null, null),
      ('NAN', '2001-07-01T11:00:00Z', 'NaN', 'NaN', -9223372036854775808, '', false, '{NaN,1}');
    insert into lockstep_source.balances (account, at, balance, seen) values
      (9007199254740993, '2001-07-01T00:00:00Z', 9223372036854775807, '2001-01-02T03:04:05.000006Z'), (5, '2001-07-01T00:00:00Z', 1, null);
  `)
  for (const view of ['airport_delays', 'airport_typed', 'account_balance']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('echo', 'identity')
  await world.push('typed', 'named')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

const airports = ['ATL', 'JFK', 'XXX', 'NAN']
const typed = airports.map((airport) => ({ airport }))
const flights = typed.map((each) => ({ ...each, distance: 100 }))
const requests = [
  { service: 'typed', entities: typed },
  { service: 'flight', entities: flights },
  { service: 'route', entities: [{ airport: 'ATL', destination: 'JFK' }] },
  { service: 'accounts', entities: [{ id: '9007199254740993' }, { id: 5 }, { id: 6 }] },
]
const predictions = [
  { model: 'typed', entities: typed },
  { model: 'echo', entities: flights },
]

type Named = Readonly<Record<string, unknown>>
type Columns = Readonly<Record<string, readonly unknown[]>>

/** As JSON, with large integers as texts. */
async function answer(path: string, body: object): Promise<Record<string, unknown>> {
  const { status, text } = await ask(url, path, body, { 'x-request-id': 'mine' })
  expect(status, text).toBe(200)
  return parseJson(text) as Record<string, unknown>
}

async function table(path: string, body: object) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { accept: arrow, 'x-request-id': 'mine' },
    body: JSON.stringify(body),
  })
  expect([response.status, response.headers.get('content-type')]).toEqual([200, arrow])
  return readArrow(new Uint8Array(await response.arrayBuffer()))
}

const columnsOf = (rows: readonly Named[]): Columns =>
  Object.fromEntries(Object.keys(rows[0] ?? {}).map((name) => [name, rows.map((row) => row[name])]))

/** The naive form of what the statuses by column must be. */
function sparse(rows: readonly Named[]): unknown {
  const found: Record<string, Record<string, number[]>> = {}
  for (const [row, statuses] of rows.entries()) {
    for (const [name, status] of Object.entries(statuses)) {
      if (status !== 'PRESENT') ((found[name] ??= {})[String(status)] ??= []).push(row)
    }
  }
  return found
}

/** A value of Arrow as the JSON of these tests has it. */
function shown(value: unknown, isTime: boolean): unknown {
  if (typeof value === 'bigint') return value >= -(10n ** 15n) && value < 10n ** 15n ? Number(value) : String(value)
  if (typeof value === 'number' && isTime)
    return new Date(value / 1000).toISOString().replace('Z', String(1000 + (value % 1000)).slice(1)) + 'Z'
  if (value instanceof Float32Array) return Array.from(value, (each) => shown(each, false))
  return Number.isNaN(value) ? null : value
}

describe('the format columns', () => {
  it.each(requests)('has the values, statuses and times of the rows: $service', async (request) => {
    const rows = await answer('/v1/features', { ...request, include: ['eventTimes', 'types', 'frontiers'] })
    const columns = await answer('/v1/features', { ...request, include: ['eventTimes', 'types', 'frontiers'], format: 'columns' })
    const { results, ...head } = rows as { results: { features: Named; statuses: Named; eventTimes: Named }[] }
    expect(columns).toEqual({
      ...head,
      features: columnsOf(results.map(({ features }) => features)),
      statuses: sparse(results.map(({ statuses }) => statuses)),
      eventTimes: columnsOf(results.map(({ eventTimes }) => eventTimes)),
    })
  })

  it('leaves event times out unless asked, and has no statuses if all are PRESENT', async () => {
    const { features, statuses, ...rest } = await answer('/v1/features', {
      service: 'typed',
      entities: [{ airport: 'ATL' }],
      format: 'columns',
    })
    expect([features, statuses]).toEqual([expect.objectContaining({ city: ['Zürich "x"'] }), {}])
    expect(Object.keys(rest)).toEqual(['service', 'version', 'fingerprint', 'asOf', 'requestId'])
  })

  it.each(predictions)('has the predictions of the rows, with features on request: $model', async (request) => {
    const include = ['features', 'eventTimes', 'types']
    const rows = await answer('/v1/predict', { ...request, include })
    const columns = await answer('/v1/predict', { ...request, include, format: 'columns' })
    const ofRows = rows as Record<'predictions' | 'features' | 'statuses' | 'eventTimes' | 'outputStatuses', Named[]>
    expect({ ...columns, predictionIds: null }).toEqual({
      ...rows,
      predictionIds: null,
      predictions: columnsOf(ofRows.predictions),
      features: columnsOf(ofRows.features),
      statuses: sparse(ofRows.statuses),
      eventTimes: columnsOf(ofRows.eventTimes),
      ...(ofRows.outputStatuses === undefined ? {} : { outputStatuses: sparse(ofRows.outputStatuses) }),
    })
    expect(columns['predictionIds']).toHaveLength(request.entities.length)
  })

  it('has the values of the rows where answers are long and not ASCII, also for Feast', async () => {
    const entities = Array.from({ length: 3000 }, (_, i) => ({ airport: airports[i % 4] ?? '' }))
    const { results } = (await answer('/v1/features', { service: 'typed', entities })) as { results: { features: Named }[] }
    const expected = columnsOf(results.map(({ features }) => features))
    const { features } = await answer('/v1/features', { service: 'typed', entities, format: 'columns' })
    expect(features).toEqual(expected)
    const feast = await answer('/get-online-features', {
      feature_service: 'typed',
      entities: { airport: entities.map(({ airport }) => airport) },
    })
    const vectors = (feast as { results: { values: unknown[] }[] }).results.slice(1)
    expect(vectors.map(({ values }) => values)).toEqual(Object.values(expected))
  })

  it('is refused if it is neither rows nor columns; rows is the default', async () => {
    const request = requests[0] as object
    expect(await answer('/v1/features', { ...request, format: 'rows' })).toEqual(await answer('/v1/features', request))
    const { status, body } = await ask(url, '/v1/features', { ...request, format: 'table' })
    expect([status, body.error.message]).toEqual([400, expect.stringContaining('"format"')])
  })
})

describe('an answer as Arrow', () => {
  it.each(requests)('has the columns and the other members of the JSON: $service', async (request) => {
    const body = { ...request, include: ['eventTimes', 'frontiers'] }
    const { features, eventTimes, ...about } = await answer('/v1/features', { ...body, format: 'columns' })
    const read = await table('/v1/features', body)
    expect(read.about).toEqual(about)
    const expected = { ...(features as Columns), ...prefixed('eventTimes.', eventTimes as Columns) }
    expectColumns(read, expected)
    expect(read.types[`eventTimes.${Object.keys(features as Columns)[0]}`]).toBe('Timestamp<MICROSECOND, UTC>')
    expect(Object.keys((await table('/v1/features', request)).columns)).toEqual(Object.keys(features as Columns))
  })

  it('has NaN as a value, where JSON has null', async () => {
    const { columns, about } = await table('/v1/features', { service: 'typed', entities: typed })
    expect(columns['amount']).toEqual([Math.fround(0.1), null, null, Number.NaN])
    expect(columns['vec']).toEqual([Float32Array.of(3, 4), null, null, Float32Array.of(Number.NaN, 1)])
    expect(about).toMatchObject({ statuses: { amount: { NULL_VALUE: [1], NOT_FOUND: [2], INVALID: [3] } } })
  })

  it.each(predictions)('has the predictions with their ids, and features on request: $model', async (request) => {
    const body = { ...request, include: ['features', 'eventTimes'] }
    const expected = await answer('/v1/predict', { ...body, format: 'columns' })
    const { predictions: outputs, features, eventTimes, predictionIds, ...about } = expected as Record<string, Columns>
    const read = await table('/v1/predict', body)
    expect(read.about).toEqual(about)
    const { predictionId, ...others } = read.columns
    const ids = predictionId as string[]
    expect(ids.map((id) => /^mine\.\w{8}\/(\d)$/.exec(id)?.[1])).toEqual(request.entities.map((_, row) => String(row)))
    expect(predictionIds).toHaveLength(ids.length)
    expectColumns(
      { ...read, columns: others },
      { ...outputs, ...prefixed('features.', features ?? {}), ...prefixed('eventTimes.', eventTimes ?? {}) },
    )
    const { columns } = await table('/v1/predict', request)
    expect(Object.keys(columns)).toEqual(['predictionId', ...Object.keys(outputs ?? {})])
  })

  it('is compressed where it is long and the client accepts that', async () => {
    const entities = Array.from({ length: 500 }, (_, i) => ({ airport: airports[i % 4] ?? '' }))
    const response = await fetch(`${url}/v1/features`, {
      method: 'POST',
      headers: { accept: arrow, 'accept-encoding': 'gzip' },
      body: JSON.stringify({ service: 'typed', entities }),
    })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    const { columns } = readArrow(new Uint8Array(await response.arrayBuffer()))
    expect(columns['city']?.slice(-4)).toEqual(['Zürich "x"', 'nowhere', 'nowhere', ''])
  })

  it('is refused with an error as JSON, and with 406 if neither type is accepted', async () => {
    const unknown = await ask(url, '/v1/features', { service: 'nothing', entities: typed }, { accept: arrow })
    expect([unknown.status, unknown.body.error.code]).toEqual([404, 'UNKNOWN_DEFINITION'])
    for (const path of ['/v1/features', '/v1/predict']) {
      const { status, body } = await ask(url, path, {}, { accept: 'text/csv, image/*' })
      expect([status, body.error]).toEqual([
        406,
        expect.objectContaining({
          code: 'NOT_ACCEPTABLE',
          details: { offered: [json, arrow] },
          message: expect.stringContaining('text/csv'),
        }),
      ])
    }
  })
})

function prefixed(prefix: string, columns: Columns): Columns {
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [prefix + name, values]))
}

function expectColumns({ columns, types }: Pick<ReturnType<typeof readArrow>, 'columns' | 'types'>, expected: Columns): void {
  expect(Object.keys(columns)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(columns)) {
    const isTime = types[name]?.startsWith('Timestamp') === true
    const wanted = isTime ? expected[name]?.map((time) => (typeof time === 'string' ? withMicros(time) : null)) : expected[name]
    expect(
      values.map((value) => shown(value, isTime)),
      name,
    ).toEqual(wanted)
  }
}

/** With all six decimals. */
function withMicros(time: string): string {
  const [seconds = '', decimals = ''] = time.slice(0, -1).split('.')
  return `${seconds}.${decimals.padEnd(6, '0')}Z`
}

describe('the media type of an answer', () => {
  it.each([
    [undefined, json],
    ['', json],
    ['*/*', json],
    [json, json],
    [arrow, arrow],
    ['application/*', json],
    [`${arrow}, */*`, arrow],
    [`${json}, ${arrow}`, json],
    [`${json};q=0.5, ${arrow}`, arrow],
    [`${json}; q=0.9, ${arrow}; q=0.8`, json],
    [`*/*;q=0.1, ${arrow};q=0`, json],
    [`*/*, ${json};q=0`, arrow],
    [`text/html, ${arrow.toUpperCase()};q=0.2`, arrow],
    ['application/json; charset=utf-8, text/plain, */*', json],
  ])('for the header accept "%s" is %s', (accept, type) => {
    expect(tableTypeFor(accept)).toBe(type)
  })

  it.each(['text/html', `${json};q=0, ${arrow};q=0.0`, 'application/xml, */*;q=0'])('is none for "%s"', (accept) => {
    expect(() => tableTypeFor(accept)).toThrow(expect.objectContaining({ code: 'NOT_ACCEPTABLE' }))
  })
})
