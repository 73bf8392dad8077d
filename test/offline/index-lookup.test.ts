import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { TimeRule, ViewPlan } from '../../kernel/view-plan.ts'
import type { Availability, FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { hour, minute } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { noting } from './noting.ts'
import { service } from './things.ts'

const number = { kind: 'float64' } as const
const rest = { default: null, required: false } as const
const last: FeatureSpec = { kind: 'latest', name: 'last', column: 'delay', type: number, ttlMicros: null, ...rest }
const windowed = (name: string, windowMicros: number): FeatureSpec => ({
  kind: 'window',
  name,
  aggregate: 'sum',
  column: 'delay',
  type: number,
  windowMicros,
  hopMicros: 5 * minute,
  ...rest,
})
const continuous: Availability = { kind: 'continuous' }
const scheduled: Availability = { kind: 'schedule', schedule: '*/20 3-20 * * *', delayMicros: 3 * minute }

function view(name: string, table: string, known: string | null, features: readonly FeatureSpec[], availability = continuous): ViewPlan {
  const key = ['number', 'carrier'].map((part) => ({ part, column: part }))
  const spec: ViewSpec = {
    name,
    version: 1,
    availability,
    derive: [],
    code: null,
    features,
    entity: {
      name: 'line',
      key: [
        { name: 'number', type: { kind: 'int64' } },
        { name: 'carrier', type: { kind: 'string' } },
      ],
    },
    source: { name: table, relation: { kind: 'table', table }, key, eventTime: 'at', known, columns: [{ name: 'delay', type: number }] },
  }
  return compileView({ spec, code: null, fingerprint: name })
}

/** Views that read the same rows in every way that makes a difference to which of them are near. */
const views = [
  view('latest', 'marked', null, [last]),
  view('window', 'marked', null, [windowed('w', hour)]),
  view('both', 'marked', null, [last, windowed('w', 2 * hour)]),
  view('scheduled', 'marked', null, [last, windowed('w', hour)], scheduled),
  view('late', 'marked', 'known', [last]),
  view('late_both', 'marked', 'known', [last, windowed('w', 2 * hour)]),
  view('late_scheduled', 'marked', 'known', [last, windowed('w', hour)], scheduled),
  view('unmarked', 'unmarked', null, [last, windowed('w', hour)]),
  view('unmarked_late', 'unmarked', 'known', [last]),
]
const services = views.map((plan) => service([{ plan, alias: null, key: ['number', 'carrier'] }]))

const indexes = ['marked', 'unmarked'].flatMap((table) => [
  `CREATE INDEX ${table}_at ON ${table} (number, carrier COLLATE "C", at)`,
  `CREATE INDEX ${table}_visible ON ${table} (number, carrier COLLATE "C", greatest(at, known))`,
])

for (const { kind, open } of databases) {
  describe(`a join of a short spine with large tables on ${kind}`, () => {
    let opened: OpenedDatabase
    beforeAll(async () => {
      opened = await open()
      // ties, rows of one key at one moment, unknown and late knowledge, some of it never
      const rows = `SELECT n % 7 AS number, (ARRAY['AA', 'aa', 'Ä', ''])[n % 4 + 1] AS carrier, at, delay,
          CASE n % 11 WHEN 0 THEN NULL WHEN 1 THEN 'infinity'::timestamptz ELSE at + (n * 37 % 301) * interval '1 minute' END AS known
        FROM (SELECT n, '2001-03-01Z'::timestamptz + (n * 131 % 20000 / 3) * interval '1 minute' AS at,
                CASE WHEN n % 13 = 0 THEN NULL ELSE n % 97 END::float8 AS delay FROM generate_series(1, 10000) n) r`
      await opened.db.script(`
        CREATE TABLE unmarked AS ${rows};
        CREATE TABLE marked AS SELECT r.*, (row_number() OVER ())::int8 AS _row FROM (${rows}) r;
        ALTER TABLE marked ADD COLUMN _xid xid8 NOT NULL DEFAULT pg_current_xact_id();
        ANALYZE unmarked; ANALYZE marked`)
    })
    afterAll(() => opened?.close())

    it('answers from the few rows that an index finds as from all rows', async () => {
      const moments = fc.array(
        fc.record({ number: fc.integer({ min: -1, max: 7 }), carrier: fc.constantFrom('AA', 'aa', 'Ä', '', 'b', null), at: fc.nat(7_200) }),
        {
          minLength: 1,
          maxLength: 30,
        },
      )
      const rules = fc.record({
        knowledge: fc.constantFrom('bitemporal', 'latest'),
        freshness: fc.constantFrom('served', 'ideal'),
      } as const)
      const cases = fc.sample(fc.tuple(moments, rules, fc.constantFrom('at', 'before'), fc.constantFrom(null, 4_000)), {
        numRuns: 4,
        seed: 7,
      })
      const answerAll = async (): Promise<{ rows: unknown[][]; near: number }> => {
        const rows: unknown[][] = []
        let near = 0
        for (const [spine, rule, bound, knownBefore] of cases) {
          const values = spine.map(({ number: n, carrier, at }) => `(${n}, ${carrier === null ? 'NULL' : `'${carrier}'`}, ${at})`)
          const sql = `SELECT number::int8, carrier::text, '2001-03-01Z'::timestamptz + at * interval '1 minute' AS moment FROM (VALUES ${values.join(', ')}) v(number, carrier, at)`
          for (const one of services) {
            const found = await join(one, sql, {
              rule,
              bound,
              knownBefore: knownBefore === null ? null : Date.UTC(2001, 2, 1) * 1000 + knownBefore * minute,
            })
            rows.push(found.rows)
            near += found.near
          }
        }
        return { rows, near }
      }
      const whole = await answerAll()
      expect(whole.near).toBe(0)
      await opened.db.script(`${indexes.join('; ')}; ANALYZE unmarked; ANALYZE marked`)
      const few = await answerAll()
      expect(few.near).toBeGreaterThan(5)
      expect(few.rows).toEqual(whole.rows)
      expect(new Set(few.rows.flat(2)).size).toBeGreaterThan(30)
    })

    async function join(
      asked: ServicePlan,
      sql: string,
      options: { readonly rule: TimeRule; readonly bound: 'at' | 'before'; readonly knownBefore: number | null },
    ): Promise<{ rows: unknown[]; near: number }> {
      const selects: string[] = []
      const spine = await openSpine(opened.db, asked, { sql })
      const rows: unknown[] = []
      try {
        await joinSpine(noting(opened.db, selects), asked, spine, { ...options, statuses: true }, (batch) => {
          for (let i = 0; i < batch.length; i++)
            rows.push(...batch.values.map((column) => column[i]), ...batch.statuses.map((column) => column[i]))
        })
      } finally {
        await spine.drop()
      }
      return { rows, near: selects.filter((select) => select.includes('CROSS JOIN LATERAL') && select.includes('ORDER BY u.')).length }
    }
  })
}
