import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budget } from '../../budget.ts'
import { flightsFile } from '../../examples/sample-flights.ts'
import type { Exports } from './exports.ts'
import { exportFlights, sampleOfCopy } from './exports.ts'
import type { StatedWindow } from './rules.ts'
import { copyOfFlights, differs, greatestRows, latestOf, rowsOfSources, sawtoothTail, statedWindows, sumsOf, windowOf } from './rules.ts'

const timeout = 900_000
/** The first flights of the file, in its order. Share 2 takes all. */
const flights = Math.min(3_000_000, budget(1_500_000))

let folder: string
let exports: Exports
let duckdb: Awaited<ReturnType<DuckDBInstance['connect']>>

beforeAll(async () => {
  duckdb = await (await DuckDBInstance.create(':memory:')).connect()
  folder = await mkdtemp(join(tmpdir(), 'lockstep-flights-'))
  const file = join(folder, 'flights.parquet')
  await duckdb.run(`copy (from read_parquet('${flightsFile}') limit ${flights}) to '${file}'`)
  ;[exports] = await Promise.all([exportFlights(file), prepare(file)])
  for (const name of ['latest', 'windows'] as const)
    await duckdb.run(
      `create view ${name} as select * exclude (file_row_number), file_row_number as ordinal from read_parquet('${exports[name]}', file_row_number = true)`,
    )
}, timeout)

/** DuckDB has the flights from their file, and nothing from the product. */
async function prepare(file: string): Promise<void> {
  for (const statement of [...copyOfFlights(file), ...rowsOfSources, sampleOfCopy]) await duckdb.run(statement)
  for (const source of ['departed', 'arrived']) await duckdb.run(greatestRows(source))
  for (const source of ['departed', 'arrived', 'refreshed']) for (const statement of sumsOf(source)) await duckdb.run(statement)
  await duckdb.run('create table spine as select flight - 1 as ordinal, flight, date as moment, origin, destination from flights')
}

afterAll(async () => {
  duckdb?.closeSync()
  await exports?.close()
  await rm(folder, { recursive: true, force: true })
})

async function first(query: string): Promise<Record<string, number>> {
  const [row] = (await duckdb.runAndReadAll(query)).getRowObjectsJS()
  return Object.fromEntries(Object.entries(row ?? {}).map(([name, value]) => [name, Number(value)]))
}

/** How many rows of an export differ from what DuckDB answers, by feature. A row that only one of them has differs. */
async function differences(
  table: 'latest' | 'windows',
  alias: string,
  features: readonly string[],
  ending: string,
  answer: string,
): Promise<Record<string, number>> {
  const counts = features.map(
    (f) => `count(*) filter (e.ordinal is null or x.ordinal is null or ${differs(f, `e."${alias}__${f}${ending}"`, `x."${f}"`)}) as "${f}"`,
  )
  return first(`select ${counts.join(', ')} from ${table} e full join (${answer}) x using (ordinal)`)
}

const none = (features: readonly string[]): Record<string, number> => Object.fromEntries(features.map((f) => [f, 0]))

describe('the rows of a training set', () => {
  it.each([
    ['latest', 'spine', flights],
    ['windows', 'asked', Math.floor(flights / 15) + Math.floor(flights / 120)],
  ])(
    'match those of the spine, in order and number: %s',
    async (table, spine, rows) => {
      const query = `select count(*) as rows, count(*) filter (e.flight is distinct from s.flight) as differing from ${table} e full join ${spine} s using (ordinal)`
      expect(await first(query)).toEqual({ rows, differing: 0 })
    },
    timeout,
  )
})

describe('the latest values of the flights', () => {
  it.each([
    ['departed', 'departed', 'origin', ['reading', 'recent', 'distance']],
    ['arrived', 'arrived', 'destination', ['reading', 'recent', 'distance']],
    ['arrived_at_origin', 'arrived', 'origin', ['reading']],
  ])(
    'match those of an ASOF JOIN of DuckDB: %s',
    async (alias, source, key, features) => {
      expect(await differences('latest', alias, features, '', latestOf(source, 'spine', key, '>'))).toEqual(none(features))
    },
    timeout,
  )

  it(
    'do not match if a row sees what becomes visible at its own moment',
    async () => {
      const found = await differences('latest', 'departed', ['reading'], '', latestOf('departed', 'spine', 'origin', '>='))
      expect(found['reading']).toBeGreaterThan((flights * 2) / 3)
    },
    timeout,
  )
})

describe('windows', () => {
  it.each([
    ['departed', 'origin', '1h', ['rows', 'total', 'least', 'sample']],
    ['departed', 'origin', '6h', ['rows', 'miles', 'greatest']],
    ['departed', 'origin', '24h', ['rows', 'values', 'mean', 'variance']],
    ['departed', 'origin', '7d', ['rows', 'mean', 'deviation']],
    ['arrived', 'destination', '1h', ['rows', 'mean', 'greatest']],
    ['arrived', 'destination', '6h', ['rows', 'values', 'variance', 'least']],
    ['arrived', 'destination', '24h', ['rows', 'total', 'deviation']],
    ['arrived', 'destination', '7d', ['rows', 'miles', 'least', 'sample']],
    ['refreshed', 'destination', '1h', ['rows', 'mean']],
    ['refreshed', 'destination', '6h', ['rows', 'least']],
    ['refreshed', 'destination', '24h', ['rows', 'variance', 'greatest']],
    ['refreshed', 'destination', '7d', ['rows', 'total']],
  ])(
    'hold what DuckDB finds from their tail to the visible rows: %s at its %s, %s',
    async (source, key, name, features) => {
      const answer = windowOf(source, 'asked', key, sawtoothTail(stated(name)))
      expect(await differences('windows', source, features, name, answer)).toEqual(none(features))
    },
    timeout,
  )

  it(
    'do not match if the tail has no hops, or other hops',
    async () => {
      const window = stated('1h')
      for (const tail of [`moment - ${window.micros}`, sawtoothTail({ ...window, hopMicros: window.hopMicros - 60_000_000 })]) {
        const found = await differences('windows', 'arrived', ['rows'], '1h', windowOf('arrived', 'asked', 'destination', tail))
        expect(found['rows']).toBeGreaterThan(flights / 300)
      }
    },
    timeout,
  )

  it(
    'do not match if a row counts before it is refreshed or known',
    async () => {
      const tail = sawtoothTail(stated('1h'))
      for (const [alias, source] of [
        ['refreshed', 'arrived'],
        ['arrived', 'refreshed'],
      ] as const) {
        const found = await differences('windows', alias, ['rows'], '1h', windowOf(source, 'asked', 'destination', tail))
        expect(found['rows']).toBeGreaterThan(flights / 300)
      }
    },
    timeout,
  )
})

function stated(name: string): StatedWindow {
  const window = statedWindows.find((w) => w.name === name)
  if (window === undefined) throw new Error(`No window "${name}" is stated.`)
  return window
}
