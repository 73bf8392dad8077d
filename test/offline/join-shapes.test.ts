import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { planPasses } from '../../offline/rows/stream-groups.ts'
import { hour, minute } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { noting } from './noting.ts'
import { service } from './things.ts'

const start = parseTimestamp('2001-03-01T00:00:00Z')
const carriers = ['AA', 'aa', 'Ä', '']
const flights = 60_000
const checks = 9_000

/** Two tables with one composite key, a text and a number: by the row's number, what it holds. */
const flight = (n: number) => ({ carrier: carriers[n % 4] as string, number: (n % 15) - 7, at: start + n * minute, delay: n % 97 })
const check = (n: number) => ({ carrier: carriers[n % 4] as string, number: (n % 30) - 7, at: start + n * 7 * minute, grade: `g${n % 11}` })

const entity = {
  name: 'line',
  key: [
    { name: 'number', type: { kind: 'int32' } },
    { name: 'carrier', type: { kind: 'string' } },
  ],
} as const
const plain = { availability: { kind: 'continuous' }, version: 1, entity, derive: [], code: null } as const
const key = [
  { part: 'carrier', column: 'carrier' },
  { part: 'number', column: 'number' },
]

/** The delays of a flight are halved before they count, and those that 5 divides are left out. */
const delays: ViewSpec = {
  ...plain,
  name: 'delays',
  source: {
    name: 'flights',
    relation: { kind: 'table', table: 'flights' },
    key,
    eventTime: 'at',
    known: null,
    columns: [{ name: 'delay', type: { kind: 'int32' } }],
  },
  derive: [{ name: 'half', type: { kind: 'float64' } }],
  code: 'hash',
  features: [latest('lastHalf', 'half', { kind: 'float64' }), window('halves', 'half')],
}
const grades: ViewSpec = {
  ...plain,
  name: 'grades',
  source: {
    name: 'checks',
    relation: { kind: 'table', table: 'checks' },
    key,
    eventTime: 'at',
    known: null,
    columns: [{ name: 'grade', type: { kind: 'string' } }],
  },
  features: [latest('lastGrade', 'grade', { kind: 'string' })],
}
const plans = [
  compileView({ spec: delays, code: '(row) => (row.delay % 5 === 0 ? null : { half: row.delay / 2 })', fingerprint: 'd' }),
  compileView({ spec: grades, code: null, fingerprint: 'g' }),
]
const asked = service(plans.map((plan) => ({ plan, alias: null, key: ['number', 'carrier'] })))

function latest(name: string, column: string, type: { readonly kind: 'float64' | 'string' }): FeatureSpec {
  return { kind: 'latest', name, column, type, ttlMicros: null, default: null, required: false }
}
function window(name: string, column: string): FeatureSpec {
  return {
    kind: 'window',
    name,
    aggregate: 'count',
    column,
    windowMicros: 6 * hour,
    hopMicros: 5 * minute,
    type: { kind: 'int32' },
    default: null,
    required: false,
  }
}

/** By brute force over the rows as they were generated. */
function expected(carrier: string, number: number, t: number): (Value | null)[] {
  const halves = Array.from({ length: flights }, (_, n) => flight(n))
    .filter((row) => row.carrier === carrier && row.number === number && row.at <= t && row.delay % 5 !== 0)
    .map(({ at, delay }) => ({ at, half: delay / 2 }))
  const tail = Math.floor((t - 6 * hour) / (5 * minute)) * 5 * minute
  const seen = Array.from({ length: checks }, (_, n) => check(n)).filter(
    (row) => row.carrier === carrier && row.number === number && row.at <= t,
  )
  return [halves.at(-1)?.half ?? null, halves.filter(({ at }) => at >= tail).length, seen.at(-1)?.grade ?? null]
}

for (const { kind, open } of databases) {
  describe(`a join of two sources under a composite key on ${kind}`, () => {
    let opened: OpenedDatabase
    beforeAll(async () => {
      opened = await open()
      const letters = `(ARRAY[${carriers.map((carrier) => `'${carrier}'`).join(', ')}])[n % 4 + 1] AS carrier`
      const time = (minutes: number) => `'2001-03-01Z'::timestamptz + n * interval '${minutes} minutes' AS at`
      await opened.db.script(`
        CREATE TABLE flights AS SELECT ${letters}, n % 15 - 7 AS number, ${time(1)}, n % 97 AS delay FROM generate_series(0, ${flights - 1}) n;
        CREATE TABLE checks AS SELECT ${letters}, n % 30 - 7 AS number, ${time(7)}, 'g' || n % 11 AS grade FROM generate_series(0, ${checks - 1}) n;
        ANALYZE flights; ANALYZE checks`)
    })
    afterAll(() => opened?.close())

    async function join(sql: string, keysAreRange = false) {
      const selects: string[] = []
      const batches = new Map<string, number>()
      const spine = await openSpine(opened.db, asked, { sql })
      const rows: { spine: (Value | null)[]; values: (Value | null)[]; time: number }[] = []
      try {
        await joinSpine(noting(opened.db, selects, batches), asked, spine, { keysAreRange }, (batch) => {
          for (let i = 0; i < batch.length; i++) {
            const at = (columns: readonly (readonly (Value | null)[])[]): (Value | null)[] => columns.map((column) => column[i] ?? null)
            rows.push({ spine: at(batch.spine), values: at(batch.values), time: batch.times[i] ?? 0 })
          }
        })
      } finally {
        await spine.drop()
      }
      const sources = selects.filter((select) => /FROM "(flights|checks)" s .* ORDER BY/.test(select))
      return { rows, sources, batches: sources.map((select) => batches.get(select) ?? 0) }
    }

    function agree(rows: Awaited<ReturnType<typeof join>>['rows']): void {
      for (const { spine, values, time } of rows) {
        const [carrier, number] = [spine[0] as string | null, spine[1] as number | null]
        expect([...spine, ...values]).toEqual([
          ...spine,
          ...(carrier === null || number === null ? [null, 0, null] : expected(carrier, number, time)),
        ])
      }
    }

    const moments = (rows: number, step: number) =>
      `SELECT (ARRAY['AA', 'aa', 'Ä', '', 'none', null])[i % 6 + 1] AS carrier, nullif(i % 17 - 8, 8) AS number, '2001-03-01Z'::timestamptz + i * interval '${step} minutes' AS moment FROM generate_series(0, ${rows - 1}) i ORDER BY i % 7, i`

    it('reads only the keys between the first and the last one, if they are a range', async () => {
      const { rows, sources } = await join(moments(6_000, 9), true)
      expect(rows).toHaveLength(6_000)
      agree(rows.filter((_, i) => i % 200 === 0))
      // the greatest carrier by bytes is "Ä"
      for (const source of sources) {
        expect(source).toContain(`>= ('-8'::int4, ''::text)`)
        expect(source).toContain(`<= ('7'::int4, 'Ä'::text)`)
      }
      const few = await join("SELECT 'aa' AS carrier, -3 AS number, '2001-03-02Z'::timestamptz AS moment WHERE false", true)
      expect(few.rows).toEqual([])
    })

    it('answers every row in one pass, and reads only the keys of a short spine', async () => {
      expect(planPasses(asked.uses)).toHaveLength(1)
      const { rows, sources } = await join(moments(60, 997))
      expect(rows).toHaveLength(60)
      agree(rows)
      expect(rows.filter(({ values }) => values[0] !== null && values[2] !== null).length).toBeGreaterThan(10)
      expect(sources).toHaveLength(2)
      for (const select of sources) expect(select).toMatch(/\(s\."number"::int4, s\."carrier"::text COLLATE "C"\) IN \(SELECT /)
    })

    it('reads all batches of large sources if the spine is long', async () => {
      const { rows, sources, batches } = await join(moments(20_000, 3))
      expect(rows).toHaveLength(20_000)
      agree(rows.filter((_, i) => i % 331 === 0))
      expect(sources).toHaveLength(2)
      for (const select of sources) expect(select).not.toContain(' IN (')
      for (const count of batches) expect(count).toBeGreaterThan(2)
    })
  })
}
