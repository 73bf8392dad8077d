import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import { decodeKey, encodeKey } from '../../kernel/values/entity-key.ts'
import { formatTimestamp, parseTimestamp } from '../../kernel/values/time.ts'
import type { Column, KeyType, ValueType } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceRelation } from '../../kernel/specs/view-spec.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import type { SourceStreamOptions } from '../../offline/rows/source-stream.ts'
import { countLeftOut, sourceRows } from '../../offline/rows/source-stream.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'

const march = parseTimestamp('2001-03-01T00:00:00Z')

function plan(
  relation: SourceRelation,
  key: readonly Column<KeyType>[],
  columns: readonly Column[],
  known: string | null = null,
): ViewPlan {
  return compileView({
    spec: {
      name: 'v',
      version: 1,
      entity: { name: 'e', key },
      source: { name: 'rows', relation, key: key.map(({ name }) => ({ part: name, column: name })), eventTime: 'at', known, columns },
      availability: { kind: 'continuous' },
      derive: [],
      code: null,
      features: columns.map(({ name, type }) => ({
        kind: 'latest',
        name,
        column: name,
        type,
        ttlMicros: null,
        default: null,
        required: false,
      })),
    },
    code: null,
    fingerprint: 'f',
  })
}

const column = <V extends ValueType>(name: string, type: V): Column<V> => ({ name, type })
const text: KeyType = { kind: 'string' }

for (const { kind, open } of databases) {
  describe(`a source stream on ${kind}`, () => {
    let opened: OpenedDatabase
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    function read(view: ViewPlan, options: SourceStreamOptions = {}): Promise<SourceRow[]> {
      return opened.db.snapshot(async (snapshot) => {
        const rows: SourceRow[] = []
        for await (const batch of sourceRows(snapshot, [view], options)) rows.push(...batch)
        return rows
      })
    }

    it('decodes every type exactly, in canonical form', async () => {
      const columns = [
        column('b', { kind: 'bool' }),
        column('i', { kind: 'int32' }),
        column('n', { kind: 'int64' }),
        column('r', { kind: 'float32' }),
        column('d', { kind: 'float64' }),
        column('s', { kind: 'string' }),
        column('t', { kind: 'timestamp' }),
        column('day', { kind: 'timestamp' }),
        column('v', { kind: 'vector', length: 2 }),
      ]
      await opened.db.query(
        `CREATE TABLE typed (k text, at timestamptz, b bool, i int2, n int8, r float4, d float8, s text, t timestamp, day date, v float4[], "_row" bigint)`,
      )
      await opened.db.query(
        `INSERT INTO typed VALUES ('k', '2001-03-01T00:00:00.000001Z', true, -5, 9223372036854775807, '-0', '-0', 'é\u{1F600}', '1969-12-31T23:59:59.999999', '2001-03-01', '{-0,1.5}', 1),
          ('k', '2001-03-01T00:00:00.000002Z', false, 7, -9223372036854775808, 'NaN', '-Infinity', '', '2255-06-05', '1684-08-01', '{NaN,Infinity}', 2),
          ('k', '2001-03-01T00:00:00.000003Z', null, null, null, null, null, null, null, null, null, 3)`,
      )
      const rows = await read(plan({ kind: 'table', table: 'typed' }, [column('k', text)], columns))
      expect(rows.map(({ eventTime, knownTime, tie }) => [eventTime - march, knownTime, tie])).toEqual([
        [1, null, 1],
        [2, null, 2],
        [3, null, 3],
      ])
      expect(rows.map(({ values }) => values)).toEqual([
        [true, -5, 2n ** 63n - 1n, 0, 0, 'é\u{1F600}', -1, march, new Float32Array([0, 1.5])],
        [
          false,
          7,
          -(2n ** 63n),
          Number.NaN,
          Number.NEGATIVE_INFINITY,
          '',
          parseTimestamp('2255-06-05T00:00:00Z'),
          parseTimestamp('1684-08-01T00:00:00Z'),
          new Float32Array([Number.NaN, Number.POSITIVE_INFINITY]),
        ],
        [null, null, null, null, null, null, null, null, null],
      ])
      expect(Object.is((rows[0] as SourceRow).values[3], 0) && Object.is((rows[0] as SourceRow).values[4], 0)).toBe(true)
    })

    it('sorts composite keys of every type by bytes; NULL keys are dropped and counted', async () => {
      const key = [
        column('s', text),
        column('i', { kind: 'int32' } as const),
        column('n', { kind: 'int64' } as const),
        column('b', { kind: 'bool' } as const),
        column('t', { kind: 'timestamp' } as const),
      ]
      const values = [
        ['a', 'B', 'b', 'é', '', 'Z', 'a ', 'ab'],
        [-2147483648, -1, 0, 2147483647],
        [-(2n ** 63n), -1n, 0n, 2n ** 53n + 1n],
        [false, true],
        [-1, march],
      ] as const
      const keys = Array.from({ length: 200 }, (_, i) =>
        values.map((list, part) => list[(i * (part * 7 + 3) + ((i / 5) | 0)) % list.length] as never),
      )
      await opened.db.query(`CREATE TABLE keyed (s text, i int4, n int8, b bool, t timestamptz, at timestamp, x int4)`)
      for (const [i, k] of keys.entries()) {
        await opened.db.query(
          `INSERT INTO keyed VALUES ($1, $2, $3, $4, 'epoch'::timestamptz + $5 * interval '1 microsecond', '2001-03-01', $6)`,
          [k[0], k[1], String(k[2]), k[3], String(k[4]), i],
        )
      }
      await opened.db.query(
        `INSERT INTO keyed VALUES (null, 1, 1, true, now(), '2001-03-01', 1), ('a', null, 1, true, now(), '2001-03-01', 1)`,
      )
      const view = plan({ kind: 'table', table: 'keyed' }, key, [column('x', { kind: 'int32' })])
      const rows = await read(view)
      expect(rows.map((row) => row.key)).toEqual(keys.map((k) => encodeKey(key, k)).sort())
      for (const row of rows) expect(decodeKey(key, row.key)).toEqual(keys[row.values[0] as number])
      expect(await opened.db.snapshot((snapshot) => countLeftOut(snapshot, view))).toEqual({ dropped: 2, heldBack: null })
      const wanted = [rows[3] as SourceRow, rows[150] as SourceRow].map((row) => row.key)
      expect(new Set((await read(view, { keys: wanted })).map((row) => row.key))).toEqual(new Set(wanted))
    })

    it('reads times exactly up to both edges', async () => {
      const edges = [-maxMicros, -maxMicros + 1, -maxMicros + 2, -1, 0, 1, maxMicros - 1, maxMicros]
      await opened.db.query(`CREATE TABLE edges (k text, at timestamptz, t timestamp, "_row" bigint)`)
      const rows = edges.map((micros, i) => `('k', '${formatTimestamp(micros)}', '${formatTimestamp(micros)}', ${i})`)
      await opened.db.query(`INSERT INTO edges VALUES ${rows.join(', ')}`)
      const found = await read(plan({ kind: 'table', table: 'edges' }, [column('k', text)], [column('t', { kind: 'timestamp' })]))
      expect(found.map((row) => row.eventTime)).toEqual(edges)
      expect(found.map((row) => row.values[0])).toEqual(edges)
      const range = { until: -maxMicros + 1, eventFrom: -maxMicros + 1 }
      expect(
        (await read(plan({ kind: 'table', table: 'edges' }, [column('k', text)], [column('t', { kind: 'timestamp' })]), range)).length,
      ).toBe(1)
    })

    it('takes rows as they become known: infinity is never, -infinity is no known time', async () => {
      await opened.db.query(`CREATE TABLE late (k text, at timestamp, known timestamptz, x int4)`)
      await opened.db.query(
        `INSERT INTO late VALUES ('k', '2001-03-01', '2001-03-03', 1), ('k', '2001-03-02', null, 2), ('k', '2001-03-01', 'infinity', 3), ('k', '2001-03-02 12:00', '-infinity', 4), ('k', '2001-03-04', '2001-03-01', 5)`,
      )
      const view = plan({ kind: 'table', table: 'late' }, [column('k', text)], [column('x', { kind: 'int32' })], 'known')
      const rows = await read(view)
      expect(rows.map((row) => row.values[0])).toEqual([2, 4, 1, 5, 3])
      expect(rows.map((row) => row.knownTime)).toEqual([null, null, march + 2 * 86_400_000_000, march, Number.POSITIVE_INFINITY])
      expect((await read(view, { until: march + 86_400_000_000 })).map((row) => row.values[0])).toEqual([2])
      expect((await read(view, { rule: { knowledge: 'latest', freshness: 'served' } })).map((row) => row.values[0])).toHaveLength(5)
    })

    it('breaks ties by the declared columns in name order if rows have no identity', async () => {
      await opened.db.query(`CREATE TABLE tied (k text, at timestamptz, b int4, a text, other int4)`)
      await opened.db.query(
        `INSERT INTO tied VALUES ('k', '2001-03-01', 1, 'z', 1), ('k', '2001-03-01', 2, 'y', 2), ('k', '2001-03-01', 1, 'z', 3)`,
      )
      const columns = [column('b', { kind: 'int32' }), column('a', { kind: 'string' })]
      const rows = await read(plan({ kind: 'sql', sql: 'SELECT * FROM tied -- all of it;\n;' }, [column('k', text)], columns))
      const byTie = Map.groupBy(rows, (row) => row.tie)
      expect([...byTie.values()].map((list) => list.length).sort((a, b) => a - b)).toEqual([1, 2])
      const greatest = rows.reduce((a, b) => (b.tie > a.tie ? b : a))
      expect(greatest.values).toEqual([1, 'z'])
    })

    it('reads arrivals in an interval of transactions, and reports unsupported tables', async () => {
      await opened.db.query(
        `CREATE TABLE arrivals (k text, at timestamptz, x int4, "_row" bigint generated always as identity, "_xid" xid8 NOT NULL DEFAULT pg_current_xact_id())`,
      )
      await opened.db.query(`INSERT INTO arrivals (k, at, x) VALUES ('a', '2001-03-01', 1), ('b', '2001-03-01', 2)`)
      const view = plan({ kind: 'table', table: 'arrivals' }, [column('k', text)], [column('x', { kind: 'int32' })])
      const before = await opened.db.snapshot(async (snapshot) => snapshot.xmin)
      await opened.db.query(`INSERT INTO arrivals (k, at, x) VALUES ('a', '2001-03-02', 3)`)
      const after = await opened.db.snapshot(async (snapshot) => snapshot.xmin)
      expect((await read(view, { arrival: { from: 0, to: before }, withXid: true })).map((row) => row.values[0])).toEqual([1, 2])
      const second = await read(view, { arrival: { from: before, to: after }, withXid: true })
      expect(second.map((row) => [row.values[0], row.xid >= before && row.xid < after])).toEqual([[3, true]])
      await expect(
        read(plan({ kind: 'table', table: 'tied' }, [column('k', text)], [column('b', { kind: 'int32' })]), {
          arrival: { from: 0, to: 1 },
        }),
      ).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
    })

    it('names the source and the columns if a value does not fit its declared type', async () => {
      await opened.db.query(`CREATE TABLE wide (k text, at timestamptz, i int8, r float8, s varchar(9), n int4)`)
      await opened.db.query(`INSERT INTO wide VALUES ('k', '2001-03-01', 1, 1, 's', 1)`)
      const columns = [column('i', { kind: 'int32' }), column('r', { kind: 'float32' }), column('s', text), column('n', { kind: 'int32' })]
      const view = plan({ kind: 'table', table: 'wide' }, [column('k', text)], columns)
      expect((await read(view)).map((row) => row.values)).toEqual([[1, 1, 's', 1]])
      for (const [name, value] of [
        ['i', '2147483648'],
        ['r', '1e39'],
      ]) {
        await opened.db.query(`UPDATE wide SET i = 1, r = 1`)
        await opened.db.query(`UPDATE wide SET ${name} = ${value}`)
        await expect(read(view)).rejects.toMatchObject({
          code: 'INVALID_ROW',
          message: expect.stringMatching(
            /source "rows" .* in "i" \(int8, read as int32\) or "r" \(float8, read as float32\): .*out of range/,
          ),
        })
      }
    })

    it('rounds a decimal to the nearest float or zero, and names the row of an overflow', async () => {
      await opened.db.query(`CREATE TABLE decimals (k text, at timestamptz, d numeric, s numeric)`)
      await opened.db.query(
        `INSERT INTO decimals VALUES ('k', '2001-03-01', 1e-400, 7.0e-46), ('k', '2001-03-02', -2.5e-324, 7.1e-46), ('k', '2001-03-03', 0.1, 0.1)`,
      )
      const columns = [column('d', { kind: 'float64' }), column('s', { kind: 'float32' })]
      const view = plan({ kind: 'table', table: 'decimals' }, [column('k', text)], columns)
      expect((await read(view)).map((row) => row.values)).toEqual([
        [0, 0],
        [-5e-324, 2 ** -149],
        [0.1, Math.fround(0.1)],
      ])
      await opened.db.query(`INSERT INTO decimals VALUES ('l', '2001-03-01', 1e309, 1)`)
      const row = kind === 'PGlite' ? /in "d" \(numeric, read as float64\)/ : /"d" is "10+…" where the key is "k" = "l"\. /
      await expect(read(view)).rejects.toMatchObject({ code: 'INVALID_ROW', message: expect.stringMatching(row) })
    })

    it('refuses rows that it cannot place, naming them', async () => {
      await opened.db.query(`CREATE TABLE broken (k text, day timestamptz, at timestamptz, known timestamptz, x timestamptz)`)
      const key = [column('k', text), column('day', { kind: 'timestamp' })]
      const view = plan({ kind: 'table', table: 'broken' }, key, [column('x', { kind: 'timestamp' })], 'known')
      const day = `'2001-03-01'`
      const of = (start: string) => `a row of source "rows" with key "k" = "${start}", "day" = ${march} is`
      for (const [row, code, message] of [
        [`('ever', ${day}, 'infinity', null, null)`, 'INVALID_TIME', `The event time of ${of('ever')} "infinity"`],
        [`('past', ${day}, '-infinity', null, null)`, 'INVALID_TIME', `The event time of ${of('past')} "-infinity"`],
        [`('far', ${day}, '2300-01-01 10:00:01.5', null, null)`, 'INVALID_TIME', `The event time of ${of('far')} "2300-01-01T10:00:01Z"`],
        [`('old', ${day}, '0044-03-15 BC', null, null)`, 'INVALID_TIME', `The event time of ${of('old')} "-000043-03-15T00:00:00Z"`],
        [`('end', ${day}, '294276-01-01', null, null)`, 'INVALID_TIME', `The event time of ${of('end')} 9224286393600000000 microseconds`],
        [`('late', ${day}, ${day}, '2300-01-01', null)`, 'INVALID_TIME', `The known time of ${of('late')} "2300-01-01T00:00:00Z"`],
        [`('x', ${day}, ${day}, null, '2300-01-01')`, 'INVALID_TIME', `The column "x" of source "rows" is "2300-01-01T00:00:00Z"`],
        [`('x', ${day}, ${day}, null, '2300-01-01')`, 'INVALID_TIME', ` The row has the key "k" = "x", "day" = ${march}.`],
        [`('k', '2300-01-01', ${day}, null, null)`, 'INVALID_TIME', `The key "day" of a row of source "rows" with key "k" = "k" is "2300-`],
        [`('when', ${day}, null, null, null)`, 'INVALID_ROW', '"when"'],
        [`(repeat('é', 600), ${day}, ${day}, null, null)`, 'INVALID_ROW', `The key of a row of source "rows" is 1208 bytes long`],
        [`(repeat('é', 600), ${day}, ${day}, null, null)`, 'INVALID_ROW', `: "k" = "${'é'.repeat(59)}…", "day" = ${march}. `],
      ] as const) {
        await opened.db.query(`TRUNCATE broken`)
        await opened.db.query(`INSERT INTO broken VALUES ${row}`)
        await expect(read(view)).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
      }
      await expect(
        read(plan({ kind: 'table', table: 'nowhere' }, [column('k', text)], [column('x', { kind: 'int32' })])),
      ).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
      await expect(
        read(plan({ kind: 'table', table: 'broken' }, [column('k', text)], [column('gone', { kind: 'int32' })])),
      ).rejects.toMatchObject({ code: 'SOURCE_MISSING', message: expect.stringContaining('"gone"') })
    })
  })
}
