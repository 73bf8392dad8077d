import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { ordersItself } from '../../offline/spine/query-order.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { keysSelect, lookupsSelect } from '../../offline/spine/spine-sql.ts'
import { spineRows } from '../../offline/spine/spine-rows.ts'
import { spineLocks, spineName } from '../../offline/spine/spine-table.ts'
import type { Spine, SpineInput } from '../../offline/spine/spine.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { lastThing } from './thing-features.ts'
import { databases } from './databases.ts'
import { service, view } from './things.ts'

const things = view(viewSpec('things', [lastThing], { kind: 'continuous' }), 'things')
const onDemand: OnDemandSpec = {
  name: 'asked',
  version: 1,
  request: [{ name: 'distance', type: { kind: 'int32' } }],
  inputs: [],
  features: [{ name: 'far', type: { kind: 'bool' }, default: null, required: false }],
  code: 'c',
}
const plain = service([{ plan: things, alias: null, key: ['thing'] }])
const asking = service([{ plan: things, alias: null, key: ['thing'] }], {
  spec: onDemand,
  code: '({ request }) => ({ far: request.distance > 100 })',
})
const noon = parseTimestamp('2001-03-01T12:00:00Z')

describe('the SQL of a spine', () => {
  const spine: Spine = {
    id: 1,
    table: '"lockstep"."spine_x"',
    columns: [
      { name: 'from', type: { kind: 'string' }, sql: 's."from"::text' },
      { name: 'to', type: { kind: 'string' }, sql: 's."to"' },
      { name: 'at', type: { kind: 'timestamp' }, sql: 's."at"' },
    ],
    time: 'at',
    rows: 1,
    firstTime: 0,
    lastTime: 0,
    nullKeyRows: 0,
    drop: async () => undefined,
  }
  const key = [{ name: 'thing', type: { kind: 'string' } }] as const

  it('reads under several mappings in one ordered stream', () => {
    expect(lookupsSelect(spine, key, [{ columns: ['from'] }, { columns: ['to'] }])).toBe(
      'SELECT q.k0 COLLATE "C", q.t, q.o, q.m FROM (' +
        'SELECT s."from"::text AS k0, s."at" AS t, s."_lockstep_ordinal" AS o, 0 AS m FROM "lockstep"."spine_x" s WHERE s."from"::text IS NOT NULL UNION ALL ' +
        'SELECT s."to" AS k0, s."at" AS t, s."_lockstep_ordinal" AS o, 1 AS m FROM "lockstep"."spine_x" s WHERE s."to" IS NOT NULL' +
        ') q ORDER BY q.k0 COLLATE "C", q.t',
    )
  })

  it('lists the keys of all mappings once', () => {
    expect(keysSelect(spine, key, [{ columns: ['from'] }, { columns: ['to'] }])).toBe(
      'SELECT s."from"::text COLLATE "C" FROM "lockstep"."spine_x" s UNION SELECT s."to" COLLATE "C" FROM "lockstep"."spine_x" s',
    )
  })
})

describe('the query of a spine', () => {
  it.each([
    'select 1 order by 1',
    '(select 1 order by 1) limit 5;',
    'with x as (select 2) select * from x -- why\nORDER\n/* by /* all */ */ BY 1',
    "select $$a'$$, E'it\\'s' from t union all select 2 order by 1",
  ])('orders itself: %s', (sql) => expect(ordersItself(sql)).toBe(true))

  it.each([
    'select 1',
    'values (1), (2)',
    'select row_number() over (order by a) from t',
    'select * from (select 1 order by 1) q',
    'with x as (select 2 order by 1) select * from x',
    '(select 1 order by 1) union all (select 2 order by 1)',
    `select 'order by', "order by", $a$ order by $a$, "order" "by" -- order by /* */`,
    "select 1 /* order by */ where E'\\'' <> 'order by'",
  ])('gives rows in no order: %s', (sql) => expect(ordersItself(sql)).toBe(false))
})

for (const { kind, open } of databases) {
  describe(`a spine in ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
      folder = await mkdtemp(join(tmpdir(), 'lockstep-spine-'))
    })
    afterAll(async () => {
      await opened?.close()
      await rm(folder, { recursive: true })
    })

    async function load(input: SpineInput, asked: ServicePlan = plain, time?: string) {
      const spine = await openSpine(opened.db, asked, input, time === undefined ? {} : { time })
      try {
        const rows = await opened.db.snapshot(async (snapshot) => {
          const all: (Value | null)[][] = []
          for await (const batch of spineRows(snapshot, spine))
            for (let i = 0; i < batch.length; i++) all.push(batch.columns.map((column) => column[i] ?? null))
          return all
        })
        return { spine, rows }
      } finally {
        await spine.drop()
      }
    }

    async function file(name: string, text: string): Promise<{ file: string }> {
      const path = join(folder, name)
      await writeFile(path, text)
      return { file: path }
    }

    async function tables(): Promise<number> {
      const [row] = await opened.db.query<{ n: string }>(`SELECT count(*)::text AS n FROM pg_class WHERE relname LIKE 'spine\\_%'`)
      return Number(row?.n)
    }

    it('reads batches of 4,096 rows, or of 8 MB, whatever pieces the database answers in', async () => {
      const sizes = async (sql: string): Promise<[number, number][]> => {
        const spine = await openSpine(opened.db, plain, { sql }, { time: 'moment' })
        const found = opened.db.snapshot(async (snapshot) => {
          const all: [number, number][] = []
          for await (const { first, length, times, columns } of spineRows(snapshot, spine)) {
            expect([times.length, ...columns.map((column) => column.length)]).toEqual(new Array(1 + columns.length).fill(length))
            all.push([first, length])
          }
          return all
        })
        return await found.finally(() => spine.drop())
      }
      const moment = `'2001-03-01 12:00'::timestamp AS moment`
      expect(await sizes(`SELECT 'a' AS thing, ${moment}, n FROM generate_series(1, 9000) n`)).toEqual([
        [0, 4096],
        [4096, 4096],
        [8192, 808],
      ])
      expect(await sizes(`SELECT 'a' AS thing, ${moment}, repeat('x', 3000000) AS note FROM generate_series(1, 4) n`)).toEqual([
        [0, 3],
        [3, 1],
      ])
    })

    it('keeps the order, duplicates, NULL keys and typed extra columns of a query', async () => {
      const { spine, rows } = await load({
        sql: `SELECT * FROM (VALUES ('b'::varchar, '2001-03-01 12:00'::timestamp, true, 1.5::numeric, '{"a":1}'::json), (null, '2001-03-01 12:00', null, 2, null), ('b', '2001-03-01 12:00', true, 1.5, null)) v (thing, moment, label, weight, extra) ORDER BY weight DESC -- as given\n;`,
      })
      expect(spine.columns.map(({ name, type }) => `${name} ${type.kind}`)).toEqual([
        'thing string',
        'moment timestamp',
        'label bool',
        'weight float64',
        'extra string',
      ])
      expect(rows).toEqual([
        [null, noon, null, 2, null],
        ['b', noon, true, 1.5, '{"a":1}'],
        ['b', noon, true, 1.5, null],
      ])
      expect(spine).toMatchObject({ time: 'moment', rows: 3, nullKeyRows: 1, firstTime: noon, lastTime: noon })
    })

    it('reads CSV, JSON lines and Parquet into the types that the service needs', async () => {
      const csv = await file(
        'spine.csv',
        'thing,distance,event_timestamp,note\nb,120,2001-03-01T13:00:00+01:00,x\n"",7,2001-03-01 12:00,\n',
      )
      expect((await load(csv, asking)).rows).toEqual([
        ['b', 120, noon, 'x'],
        ['', 7, noon, null],
      ])
      const jsonl = await file(
        'spine.jsonl',
        '{"thing":"b","distance":120,"at":"2001-03-01T12:00:00Z","id":9007199254740993}\n{"thing":null,"distance":"7","at":"2001-03-01T12:00:00Z","id":1}\n',
      )
      expect((await load(jsonl, asking, 'at')).rows).toEqual([
        ['b', 120, noon, 9007199254740993n],
        [null, 7, noon, 1n],
      ])
      const path = join(folder, 'spine.parquet')
      const columns = [
        { name: 'thing', type: { kind: 'string' } },
        { name: 'distance', type: { kind: 'int64' } },
        { name: 'at', type: { kind: 'timestamp' } },
      ] as const
      const writer = await createDatasetWriter(path, columns, { format: 'parquet' })
      await writer.write([
        ['b', null],
        [120n, 7n],
        [noon, noon + 1],
      ])
      await writer.close()
      const { spine, rows } = await load({ file: path }, asking)
      expect(rows).toEqual([
        ['b', 120, noon],
        [null, 7, noon + 1],
      ])
      expect(spine).toMatchObject({ firstTime: noon, lastTime: noon + 1 })
    })

    it('runs exactly one query', async () => {
      for (const sql of [
        `SELECT 'a' AS thing, now() AS moment; CREATE TABLE pwned (a int)`,
        `SELECT 'a' AS thing, now() AS moment) q; CREATE TABLE pwned (a int); SELECT * FROM (SELECT 1`,
        `SELECT 'a' AS thing, now() AS moment) q UNION ALL SELECT 2, * FROM (SELECT 'b', now()`,
      ])
        await expect(load({ sql })).rejects.toMatchObject({
          code: 'SPINE_INVALID',
          message: expect.stringMatching(/syntax error|multiple commands/),
        })
      expect(await opened.db.query(`SELECT to_regclass('pwned') AS pwned`)).toEqual([{ pwned: null }])
    })

    it('runs its query read-only, including its functions', async () => {
      await opened.db.script(`CREATE TABLE kept AS SELECT 'a' AS thing;
        CREATE FUNCTION wipe() RETURNS text LANGUAGE sql VOLATILE AS $$ DELETE FROM kept RETURNING thing $$`)
      const failure: unknown = await load({ sql: `SELECT wipe() AS thing, now() AS moment` }).catch((error: unknown) => error)
      expect(failure).toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('A spine query may only read: remove what writes.'),
      })
      // the database is no standby, so a job must not wait for its end
      expect(isTemporary(failure)).toBe(false)
      expect(await opened.db.query('SELECT thing FROM kept')).toEqual([{ thing: 'a' }])
    })

    it('heeds the signal in the query', async () => {
      const abort = new AbortController()
      const sql = `SELECT 'a' AS thing, now() AS moment, pg_sleep(${kind === 'PGlite' ? 0 : 30})::text AS slept`
      const spine = openSpine(opened.db, plain, { sql }, { signal: abort.signal })
      setTimeout(() => abort.abort(new Error('enough')), kind === 'PGlite' ? 0 : 300)
      await expect(spine).rejects.toThrow('enough')
      expect(await tables()).toBe(0)
    })

    it('names the columns that could be the time if several could', async () => {
      const text = 'thing,distance,at,note\nb,120,2001-03-01T12:00:00Z,x\n'
      await expect(load(await file('which.csv', text), asking)).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('Possible: "at", "note". Name it'),
      })
      await expect(load(await file('timeless.csv', 'thing,distance\nb,120\n'), asking)).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('has no column for its time'),
      })
      const label = '{"thing":"b","distance":120,"at":"2001-03-01T12:00:00Z","late":true,"score":5}\n'
      await expect(load(await file('label.jsonl', label), asking)).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('Possible: "at". Name it'),
      })
      await expect(load(await file('nothing.jsonl', ''), asking, 'at')).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('it has no columns at all.'),
      })
    })

    it('takes a spine without rows', async () => {
      const { spine, rows } = await load({ sql: `SELECT 'a' AS thing, now() AS moment WHERE false` })
      expect(rows).toEqual([])
      expect(spine).toMatchObject({ rows: 0, firstTime: null, lastTime: null })
    })

    it('refuses invalid columns and rows by name, and leaves no table behind', async () => {
      const day = `'2001-03-01'::timestamptz`
      const refusals: (readonly [SpineInput, ServicePlan, string | undefined, string, string])[] = [
        [{ sql: 'SELEC 1' }, plain, undefined, 'SPINE_INVALID', 'syntax error'],
        [{ sql: `SELECT 'a' AS thing` }, plain, undefined, 'SPINE_INVALID', '"thing"'],
        [{ sql: `SELECT 'a' AS thing, ${day} AS t1, ${day} AS t2` }, plain, undefined, 'SPINE_INVALID', '"t1", "t2"'],
        [{ sql: `SELECT 'a' AS thing, ${day} AS t1` }, plain, 't3', 'SPINE_INVALID', '"t3"'],
        [{ sql: `SELECT 'a' AS other, ${day} AS t1` }, plain, undefined, 'SPINE_INVALID', '"thing"'],
        [{ sql: `SELECT 5 AS thing, ${day} AS t1` }, plain, undefined, 'SPINE_INVALID', 'integer'],
        [{ sql: `SELECT 'a' AS thing, 5 AS t1` }, plain, 't1', 'SPINE_INVALID', 'timestamp'],
        [{ sql: `SELECT 'a' AS thing, ${day} AS t1, 1 AS last` }, plain, undefined, 'FEATURE_NAME_CLASH', '"things@1"'],
        [{ sql: `SELECT 'a' AS thing, ${day} AS t1` }, asking, undefined, 'MISSING_REQUEST_VALUE', '"distance"'],
        [
          { sql: `SELECT 'a' AS thing, ${day} AS t1, v.d AS distance FROM (VALUES (1), (null)) v (d)` },
          asking,
          undefined,
          'MISSING_REQUEST_VALUE',
          'Row 2',
        ],
        [
          { sql: `SELECT 'a' AS thing, ${day} AS t1, v.d AS distance FROM (VALUES (1), (3000000000)) v (d)` },
          asking,
          undefined,
          'SPINE_INVALID',
          'Row 2',
        ],
        ...[
          ['1e400', 'is outside the range of float64'],
          ['-1.8e308', 'is outside the range of float64'],
          ['1e-400', 'with more digits than a float64 holds'],
          ['12345678901234567891', 'with more digits than a float64 holds. Cast the column in the query'],
          ['12345678901234567892', '"x": 12345678901234567892'],
        ].map(
          ([number = '', what = '']) =>
            [
              {
                sql: `SELECT 'a' AS thing, ${day} AS t1, v.d AS x FROM (VALUES (1), ('Infinity'), ('NaN'), (1.7976931348623157e308), (0), (${number}::numeric)) v (d)`,
              },
              plain,
              undefined,
              'SPINE_INVALID',
              what,
            ] as const,
        ),
        [{ sql: `SELECT 'a' AS thing, v.t AS t1 FROM (VALUES (${day}), (null)) v (t)` }, plain, undefined, 'SPINE_INVALID', 'Row 2'],
        [{ sql: `SELECT 'a' AS thing, v.t AS t1 FROM (VALUES (${day}), ('infinity')) v (t)` }, plain, undefined, 'SPINE_INVALID', 'Row 2'],
        [{ file: join(folder, 'none.csv') }, plain, undefined, 'FILE_UNREADABLE', 'none.csv'],
        [await file('bad.csv', 'thing,distance,timestamp\na,1,2001-03-01\nb,many,2001-03-01\n'), asking, undefined, 'INVALID_ROW', 'Row 2'],
        [await file('early.csv', 'thing,timestamp\na,yesterday\n'), plain, undefined, 'INVALID_ROW', '"yesterday"'],
        [await file('empty.csv', 'thing,timestamp\na,\n'), plain, undefined, 'SPINE_INVALID', 'Row 1'],
        [await file('number.jsonl', '{"thing":"a","timestamp":5}\n'), plain, 'timestamp', 'SPINE_INVALID', '"timestamp"'],
      ]
      for (const [input, asked, time, code, message] of refusals) {
        await expect(load(input, asked, time)).rejects.toMatchObject({
          code,
          message: expect.stringContaining(message),
        })
      }
      expect(await tables()).toBe(0)
    })

    it('removes leftovers of a killed run on the next start, and nothing in use', async () => {
      const [dead, held] = [spineName(7), spineName(2 ** 31 - 1)]
      await opened.db.query(`CREATE UNLOGGED TABLE lockstep.${dead} (a int)`)
      await opened.db.query(`CREATE UNLOGGED TABLE lockstep.${held} (a int)`)
      await opened.db.query(`CREATE TABLE lockstep.spine_of_a_user (a int)`)
      const release = await opened.db.lock(spineLocks, 2 ** 31 - 1)
      const mine = await openSpine(opened.db, plain, { sql: `SELECT 'a' AS thing, now() AS moment` })
      expect(await tables()).toBe(3)
      await load({ sql: `SELECT 'a' AS thing, now() AS moment` })
      expect(await tables()).toBe(3)
      await release()
      await mine.drop()
      await load({ sql: `SELECT 'a' AS thing, now() AS moment` })
      expect(await tables()).toBe(1)
      await opened.db.query(`DROP TABLE lockstep.spine_of_a_user`)
    })
  })
}
