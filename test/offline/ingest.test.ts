import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Column } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { ingestFile } from '../../offline/ingest/ingest.ts'
import type { IngestProgress } from '../../offline/ingest/ingest.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { during, openServer } from '../opened-database.ts'

const opened = during(() => openServer({ migrate: false }))
let folder: string
let db: Database
beforeAll(async () => {
  db = opened().db
  folder = await mkdtemp(join(tmpdir(), 'lockstep-ingest-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

async function textFile(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

function jsonl(rows: readonly object[]): Promise<string> {
  return textFile('rows.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
}

const landings: SourceSpec = {
  name: 'landings',
  relation: { kind: 'table', table: 'flights' },
  key: [{ part: 'airport', column: 'origin' }],
  eventTime: 'date',
  known: 'landed_at',
  columns: [{ name: 'delay', type: { kind: 'float64' } }],
}

/** A source over a table `typed` with an event time `at`, a key `k` and one more column `v`. */
function typed(column: Partial<Column> = {}): SourceSpec {
  const { type = { kind: 'string' } } = column
  return {
    name: 'typed',
    relation: { kind: 'table', table: 'typed' },
    key: [{ part: 'k', column: 'k' }],
    eventTime: 'at',
    known: null,
    columns: [{ name: 'v', type }],
  }
}

async function makeTyped(type: string): Promise<void> {
  await db.script(`drop table if exists typed; create table typed (k text, at timestamptz not null, v ${type})`)
}

async function valuesOf(): Promise<unknown[]> {
  return (await db.query<{ v: unknown }>('select v::text as v from typed order by at')).map(({ v }) => v)
}

/** Rows that differ in `v` alone. */
function rowsOf(values: readonly unknown[]): { k: string; at: string; v: unknown }[] {
  return values.map((v, i) => ({ k: 'a', at: `2001-01-01T00:00:0${i}Z`, v }))
}

describe('loading flights', () => {
  beforeEach(() =>
    db.script(`
      drop table if exists flights;
      create table flights (
        date timestamp not null, delay float8, distance int4 not null, origin text, destination text default 'unknown',
        landed_at timestamp generated always as (date + delay * interval '1 minute' + distance / 500.0 * interval '1 hour') stored,
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id()
      )`),
  )

  const flights = createRequire(import.meta.url)
    .resolve('vega-datasets')
    .replace(/vega-datasets\/.*/, 'vega-datasets/data/flights-3m.parquet')

  it('takes every hundredth row of the real file, with columns that the database fills', async () => {
    const seen: IngestProgress[] = []
    const result = await ingestFile(db, landings, flights, { every: 100, onProgress: (progress) => seen.push(progress) })
    expect(result).toMatchObject({ source: 'landings', table: '"flights"', rows: 30_000 })
    expect(seen.at(-1)).toEqual({ rows: 3_000_000, totalRows: 3_000_000 })
    expect(seen.map(({ rows }) => rows)).toEqual(seen.map(({ rows }) => rows).toSorted((a, b) => a - b))
    const [row] = await db.query(
      `select count(*)::int as rows, count(distinct _xid::text)::int as transactions, count(landed_at)::int as landed, min(date)::text as first, max(_row)::int as last from flights`,
    )
    expect(row).toEqual({ rows: 30_000, transactions: 1, landed: 30_000, first: '2001-01-01 00:01:00', last: 30_000 })
    const [first] = await db.query(`select date::text, delay, distance, origin, destination, landed_at::text from flights where _row = 1`)
    expect(first).toEqual({
      date: '2001-01-01 00:01:00',
      delay: 33,
      distance: 2176,
      origin: 'LAS',
      destination: 'PHL',
      landed_at: '2001-01-01 04:55:07.2',
    })
  })

  it('loads a row without a key, and never writes a generated column that the file has', async () => {
    const path = await textFile(
      'keyless.csv',
      'date,delay,distance,origin,landed_at,_row\n2001-01-01,,100,,1999-01-01,77\n2001-01-02,5,200,ATL,1999-01-01,78\n',
    )
    expect(await ingestFile(db, landings, path)).toMatchObject({ rows: 2 })
    expect(await db.query(`select origin, delay, destination, landed_at::text, _row::int from flights order by _row`)).toEqual([
      { origin: null, delay: null, destination: 'unknown', landed_at: null, _row: 1 },
      { origin: 'ATL', delay: 5, destination: 'unknown', landed_at: '2001-01-02 00:29:00', _row: 2 },
    ])
  })

  it('lists all columns that are missing and all that are too much, at once', async () => {
    const path = await textFile('columns.csv', 'date,origin,carrier,tail\n')
    await expect(ingestFile(db, landings, path)).rejects.toMatchObject({
      code: 'COLUMNS_MISMATCH',
      message: `The file "${path}" does not fit the table "flights" of the source "landings": it lacks "delay", "distance"; the table has no column "carrier", "tail". Rename, add or remove columns in the file.`,
      details: { missing: ['delay', 'distance'], extra: ['carrier', 'tail'] },
    })
  })

  it.each([
    ['a value that is no number', '2001-01-01,soon,100,ATL', 'column "delay" is "soon", which is not a number'],
    ['a value that is no time', 'yesterday,1,100,ATL', 'column "date" is "yesterday", which is not a time'],
    [
      'a number out of range',
      '2001-01-01,1,3000000000,ATL',
      'column "distance" is 3000000000, which is outside the range of a 32-bit integer',
    ],
    ['no value where there must be one', '2001-01-01,1,,ATL', 'column "distance" has no value, but needs one'],
    ['no event time', ',1,100,ATL', 'column "date" has no value, but needs one'],
  ])('loads nothing if a late row has %s', async (_, row, message) => {
    const path = await textFile('bad.csv', `date,delay,distance,origin\n${'2001-01-01,1,100,ATL\n'.repeat(30_000)}${row}\n`)
    await expect(ingestFile(db, landings, path)).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining(`Row 30001 of "${path}": ${message}`),
      details: { path, row: 30_001 },
    })
    expect(await db.query('select count(*)::int as rows from flights')).toEqual([{ rows: 0 }])
    expect(await ingestFile(db, landings, await textFile('good.csv', 'date,delay,distance,origin\n2001-01-01,1,1,ATL\n'))).toMatchObject({
      rows: 1,
    })
  })

  it('names the row that a constraint of the table refuses', async () => {
    await db.script('alter table flights add check (distance > 0)')
    const path = await textFile(
      'constraint.csv',
      'date,delay,distance,origin\n2001-01-01,1,1,A\n2001-01-01,1,1,A\n2001-01-01,1,1,A\n2001-01-01,1,1,A\n2001-01-01,1,-1,ATL\n',
    )
    await expect(ingestFile(db, landings, path, { every: 2 })).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringMatching(/^The table "flights" refused row 5 of ".*constraint\.csv": .*flights_distance_check/),
    })
    expect(await db.query('select count(*)::int as rows from flights')).toEqual([{ rows: 0 }])
  })

  it('keeps the loaded rows if it cannot update planner statistics', async () => {
    // fails while the table is analyzed, as a lack of room or a timeout would make it
    await db.script(`
      create function fragile(int) returns int immutable language plpgsql as $$ begin
        if exists (select from pg_stat_progress_analyze where pid = pg_backend_pid()) then raise 'not now'; end if;
        return $1;
      end $$;
      create index on flights (fragile(distance))`)
    const path = await textFile('analyze.csv', 'date,delay,distance,origin\n2001-01-01,1,1,A\n2001-01-02,1,2,A\n')
    await expect(
      db.query('insert into flights (date, distance) values (now(), 1)').then(() => db.query('analyze flights')),
    ).rejects.toThrow('not now')
    expect(await ingestFile(db, landings, path)).toMatchObject({ rows: 2 })
    expect(await db.query('select count(*)::int as rows from flights')).toEqual([{ rows: 3 }])
  })

  it('stops without a trace when it is aborted', async () => {
    const abort = new AbortController()
    const run = ingestFile(db, landings, flights, { signal: abort.signal, onProgress: () => abort.abort(new Error('enough')) })
    await expect(run).rejects.toThrow('enough')
    expect(await db.query('select count(*)::int as rows from flights')).toEqual([{ rows: 0 }])
  })

  it('refuses a table that is not there, and one that lacks a declared column', async () => {
    const path = await textFile('good.csv', 'date,delay,distance,origin\n')
    await expect(ingestFile(db, { ...landings, relation: { kind: 'table', table: 'nowhere.flights' } }, path)).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      message: 'There is no table "nowhere"."flights"; create it, or correct its name.',
    })
    await expect(ingestFile(db, { ...landings, known: 'heard' }, path)).rejects.toMatchObject({
      code: 'SOURCE_MISSING',
      message: expect.stringContaining('has no column "heard"'),
    })
  })

  it('refuses a source that is a query, and a table that is a view', async () => {
    const path = await textFile('good.csv', 'date,delay,distance,origin\n2001-01-01,1,1,ATL\n')
    await expect(ingestFile(db, { ...landings, relation: { kind: 'sql', sql: 'select 1' } }, path)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('"landings"'),
    })
    await db.script('drop view if exists seen; create view seen as select * from flights')
    await expect(ingestFile(db, { ...landings, relation: { kind: 'table', table: 'seen' } }, path)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('"seen"'),
    })
    await db.script('drop view seen')
  })

  it('loads into the table that an owned source has', async () => {
    await db.script(
      'create schema lockstep_source; create table lockstep_source."odd""name" (k text not null, at timestamptz not null, v float4)',
    )
    const source: SourceSpec = { ...typed({ type: { kind: 'float32' } }), name: 'odd"name', relation: { kind: 'owned' } }
    expect(await ingestFile(db, source, await jsonl(rowsOf([0.1])))).toMatchObject({ rows: 1, table: 'lockstep_source."odd""name"' })
    expect(await db.query('select v::text from lockstep_source."odd""name"')).toEqual([{ v: '0.1' }])
  })
})

describe('the keys of a table', () => {
  const keyed: SourceSpec = { ...typed(), key: ['k', 'n', 'v'].map((column) => ({ part: column, column })), columns: [] }

  async function load(source: SourceSpec, type: string, rows: readonly (readonly [k: string | null, v: string | null])[]): Promise<number> {
    await makeTyped(type)
    await db.script('alter table typed add column n int4')
    const path = await jsonl(rows.map(([k, v]) => ({ k, v, n: 1, at: '2001-01-01' })))
    try {
      return (await ingestFile(db, source, path)).rows
    } catch (error) {
      expect(await valuesOf()).toEqual([])
      throw error
    }
  }

  it.each([
    ['ASCII', 'x', 1024],
    ['two bytes a character', 'é', 512],
    ['three bytes a character', '日', 341],
    ['four bytes a character', '🛫', 256],
  ])('are refused with row and column past 1,024 bytes, of %s', async (_, character, most) => {
    const [long, longer] = [character.repeat(most), character.repeat(most + 1)]
    expect(await load(typed(), 'text', [[long, longer]])).toBe(1)
    await expect(
      load(typed(), 'text', [
        ['a', null],
        [long, null],
        [longer, null],
      ]),
    ).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringMatching(
        new RegExp(
          `^Row 3 of ".*rows.jsonl": column "k" is "${character}.*…", which makes the entity's key \\d+ bytes long; at most 1024`,
          'u',
        ),
      ),
      details: { path: expect.any(String), row: 3, column: 'k' },
    })
  })

  it('are measured with all of their parts, the longest being named', async () => {
    const parts = (k: number, v: number) => ['x'.repeat(k), 'é'.repeat(v / 2)] as const
    expect(await load(keyed, 'varchar', [parts(416, 600), [null, 'x'.repeat(1016)]])).toBe(2)
    await expect(load(keyed, 'varchar', [parts(417, 600)])).rejects.toThrow(/^Row 1 of .*: column "v" is "é.* key 1025 bytes long/)
    await expect(load(keyed, 'varchar', [parts(700, 600)])).rejects.toThrow(/^Row 1 of .*: column "k" is "x.* key 1308 bytes long/)
  })

  it('do without the blanks that fill a char(n)', async () => {
    const source: SourceSpec = { ...typed(), key: [{ part: 'v', column: 'v' }], columns: [] }
    expect(await load(source, 'char(2000)', [['a', `${'x'.repeat(1024)}${' '.repeat(900)}`]])).toBe(1)
    await expect(load(source, 'char(2000)', [['a', 'x'.repeat(1025)]])).rejects.toThrow(/column "v".* key 1025 bytes long/)
  })
})

describe('the types of a table', () => {
  it.each([
    ['bool', [true, 'f', 1, null], ['true', 'false', 'true', null]],
    ['int2', [-32_768, '32767', null], ['-32768', '32767', null]],
    ['int4', [-2_147_483_648, 2_147_483_647, '7', 3.0, null], ['-2147483648', '2147483647', '7', '3', null]],
    [
      'int8',
      [-1, '9223372036854775807', '-9223372036854775808', -9_007_199_254_740_991, 4_294_967_296],
      ['-1', '9223372036854775807', '-9223372036854775808', '-9007199254740991', '4294967296'],
    ],
    ['float4', [0.1, 'NaN', '-inf', 1e-45, null], ['0.1', 'NaN', '-Infinity', '1e-45', null]],
    ['float8', [0.1, 'NaN', 'Infinity', 5e-324, -0, 12], ['0.1', 'NaN', 'Infinity', '5e-324', '0', '12']],
    ['text', ['', 'naïve 🛫', 'x'.repeat(300_000), 'ü'.repeat(40), null], ['', 'naïve 🛫', 'x'.repeat(300_000), 'ü'.repeat(40), null]],
    ['varchar(3)', ['abc', null], ['abc', null]],
    [
      'timestamptz',
      ['2001-01-01T01:00:00.000001+01:00', '1684-08-01T00:00:00.000001Z', '2255-01-01'],
      ['2001-01-01 00:00:00.000001+00', '1684-08-01 00:00:00.000001+00', '2255-01-01 00:00:00+00'],
    ],
    ['timestamp', ['1969-12-31T23:59:59.999999', null], ['1969-12-31 23:59:59.999999', null]],
    ['date', ['1999-12-31', '2001-07-01T00:00:00Z', null], ['1999-12-31', '2001-07-01', null]],
    ['float4[]', [[1, 0.5], [], null], ['{1,0.5}', '{}', null]],
    ['float8[]', [[0.5, 0.1, 1e300, 'NaN'], null, '[0.1]'], ['{0.5,0.1,1e+300,NaN}', null, '{0.1}']],
    ['numeric(12,3)', [1.5, '-0.001', 12_345_678, null], ['1.500', '-0.001', '12345678.000', null]],
  ] as const)('take %s values', async (type, given, stored) => {
    await makeTyped(type)
    await ingestFile(db, typed(), await jsonl(rowsOf(given)))
    expect(await valuesOf()).toEqual(stored)
  })

  it('accept a domain and an enumeration by base type', async () => {
    await db.script(`create domain positive as int4 check (value > 0); create type mood as enum ('calm', 'keen')`)
    await makeTyped('positive')
    await ingestFile(db, typed(), await jsonl(rowsOf([3])))
    expect(await valuesOf()).toEqual(['3'])
    await expect(ingestFile(db, typed(), await jsonl(rowsOf([-3])))).rejects.toMatchObject({ code: 'INVALID_ROW' })
    await makeTyped('mood')
    await ingestFile(db, typed(), await jsonl(rowsOf(['keen'])))
    expect(await valuesOf()).toEqual(['keen'])
    await expect(ingestFile(db, typed(), await jsonl(rowsOf(['sad'])))).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining('sad'),
    })
  })

  it.each([
    ['text', 5, 'is 5, which is not text'],
    ['text', 'a\0b', 'zero byte'],
    ['text', '\ud800', 'well-formed Unicode'],
    ['int4', 1.5, 'is 1.5, which is not a whole number'],
    ['int4', true, 'is true, which is not a whole number'],
    ['float8', { x: 1 }, 'is an object, which is not a number'],
    ['date', '2001-01-01T12:00:00Z', 'has a time of day'],
    ['timestamptz', '2300-01-01', 'is "2300-01-01", which is not a time within the years 1684 to 2255'],
    ['timestamptz', 'infinity', 'is "infinity", which is not a time'],
    ['float4[]', [1, 'x'], 'has an element 2 that is "x", which is not a number'],
    ['numeric', 'ten', 'is "ten", which is not a decimal number'],
    ['varchar(3)', 'abcd', 'value too long'],
  ])('refuse for %s what does not fit: %j', async (type, value, message) => {
    await makeTyped(type)
    await expect(ingestFile(db, typed(), await jsonl(rowsOf([value])))).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining(message),
    })
    expect(await valuesOf()).toEqual([])
  })

  it('refuse a vector of another length than the source declares', async () => {
    await makeTyped('float4[]')
    await expect(ingestFile(db, typed({ type: { kind: 'vector', length: 3 } }), await jsonl(rowsOf([[1, 2]])))).rejects.toThrow(
      'column "v" has 2 elements, not 3',
    )
  })

  it('are refused by name if they cannot be loaded or do not match the file', async () => {
    await makeTyped('jsonb')
    await expect(ingestFile(db, typed(), await jsonl(rowsOf(['{}'])))).rejects.toMatchObject({
      code: 'SOURCE_TYPE_MISMATCH',
      message: expect.stringContaining('column "v" is of the type jsonb'),
    })
    await makeTyped('float8')
    const path = join(folder, 'times.parquet')
    const writer = await createDatasetWriter(
      path,
      [
        { name: 'k', type: { kind: 'string' } },
        { name: 'at', type: { kind: 'timestamp' } },
        { name: 'v', type: { kind: 'timestamp' } },
      ],
      { format: 'parquet', overwrite: true },
    )
    await writer.write([['a'], [0], [0]])
    await writer.close()
    await expect(ingestFile(db, typed(), path)).rejects.toMatchObject({
      code: 'SOURCE_TYPE_MISMATCH',
      message: expect.stringMatching(/"v" is INT64 TIMESTAMP in the file and float8 in the table/),
    })
  })

  it('allow infinity only as known time: such a row is never visible', async () => {
    await makeTyped('timestamptz')
    await ingestFile(db, { ...typed(), known: 'v', columns: [] }, await jsonl(rowsOf(['infinity', null])))
    expect(await valuesOf()).toEqual(['infinity', null])
  })

  it.each([
    ['its event time', { eventTime: 'v' }],
    ['a part of its key', { key: [{ part: 'v', column: 'v' }] }],
    ['a column that features read', { columns: [{ name: 'v', type: { kind: 'timestamp' } }] }],
  ] as const)('refuse an infinite known time if it is also %s', async (_, use) => {
    await makeTyped('timestamptz')
    const source: SourceSpec = { ...typed(), columns: [], known: 'v', ...use }
    const path = await jsonl([...rowsOf(['2001-01-01', 'infinity'])])
    await expect(ingestFile(db, source, path)).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining(`Row 2 of "${path}": column "v" is "infinity", which is not a time within`),
    })
    expect(await valuesOf()).toEqual([])
  })

  it('take fields that only later rows have', async () => {
    await makeTyped('float8')
    const path = await textFile('sparse.jsonl', `${'{"k":"a","at":"2001-01-01","v":1}\n'.repeat(10_000)}{"at":"2001-01-02","v":2}\n`)
    await db.script('alter table typed add column note text')
    await ingestFile(
      db,
      typed(),
      await textFile(
        'noted.jsonl',
        `${'{"k":"a","at":"2001-01-01","v":1}\n'.repeat(10_001)}{"k":"a","at":"2001-01-02","v":2,"note":"late"}\n`,
      ),
    )
    expect(await db.query(`select count(*)::int as rows, max(note) as note, count(note)::int as notes from typed`)).toEqual([
      { rows: 10_002, note: 'late', notes: 1 },
    ])
    await ingestFile(db, typed(), path)
    expect(await db.query(`select count(*)::int as rows from typed where k is null`)).toEqual([{ rows: 1 }])
  })

  it('keep generated numbers exactly as PostgreSQL reads the same text', async () => {
    await makeTyped('numeric')
    const digits = fc.stringMatching(/^\d{1,30}$/)
    const decimal = fc
      .tuple(
        fc.constantFrom('', '-', '+'),
        digits,
        fc.option(digits, { nil: null }),
        fc.option(fc.integer({ min: -40, max: 40 }), { nil: null }),
      )
      .map(
        ([sign, whole, fraction, exponent]) =>
          `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${exponent === null ? '' : `e${exponent}`}`,
      )
    const texts = [...fc.sample(decimal, 1000), '.5', '5.', '0', '-0.000', '0.00010000', '10000', '9999', '1e-16000', '1e131000', 'NaN']
    const rows = texts.map((v, i) => ({ k: v, at: new Date(i).toISOString(), v }))
    await ingestFile(db, typed(), await jsonl(rows))
    const wrong = await db.query(`select k, v::text from typed where v::text <> k::numeric::text`)
    expect(wrong).toEqual([])
    expect(await valuesOf()).toHaveLength(texts.length)
  })
})
