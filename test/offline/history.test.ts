import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Availability, FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { explainView } from '../../offline/explain-view.ts'
import { readHistory } from '../../offline/history.ts'
import { streamSelect } from '../../offline/rows/stream-sql.ts'
import { budget } from '../budget.ts'
import { everyMinutes, featuresArbitrary, hour, minute, oracle, rowsArbitrary, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import type { ThingRow } from './things.ts'
import { createThings, view } from './things.ts'

/** Aggregates whose value is that of one row. */
const ofOne: ReadonlySet<string> = new Set(['first', 'last', 'min', 'max'])
const origin = parseTimestamp('2001-03-01T00:00:00Z')
const names = fc.constantFrom('a', 'B', 'b', 'é')
const world = fc.record({
  views: fc.array(
    fc.record({
      features: featuresArbitrary,
      availability: fc.constantFrom<Availability>({ kind: 'continuous' }, everyMinutes(30, minute)),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  rows: fc
    .tuple(rowsArbitrary(origin, 40), fc.infiniteStream(names))
    .map(([rows, things]) => rows.map((row): ThingRow => ({ ...row, thing: things.next().value as string }))),
  requests: fc.array(
    fc.record({
      view: fc.nat(2),
      thing: fc.option(fc.oneof(names, fc.constant('nobody'))),
      at: fc.integer({ min: -10, max: 1080 }).map((m) => origin + m * minute),
    }),
    { maxLength: 20, size: 'medium' },
  ),
})

for (const { kind, open } of databases) {
  describe(`history in ${kind}`, () => {
    let opened: OpenedDatabase
    let cases = 0
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    it('answers any view, entity and moment like a fold over visible rows, in order', async () => {
      await fc.assert(
        fc.asyncProperty(world, async ({ views, rows, requests }) => {
          const table = `things_${cases++}`
          await createThings(opened.db, table, rows, cases % 2 === 0)
          const plans = views.map((v, i) => view(viewSpec(`view_${i}`, v.features, v.availability), table))
          const asked = requests.map(({ view: i, thing, at }) => {
            const plan = plans[i % plans.length] as (typeof plans)[number]
            return { plan, key: thing === null ? null : encodeKey(plan.key, [thing]), asOf: at, thing }
          })
          const answers = await readHistory(opened.db, asked)
          const tied = new Set(rows.map((row) => `${row.thing} ${row.eventTime} ${row.knownTime ?? row.eventTime}`)).size < rows.length
          fc.pre(cases % 2 === 0 || !tied) // without identities the oracle cannot say which of two tied rows is the greater
          expect(
            answers.map(({ values, statuses, eventTime }) => ({ values, statuses: statuses.map((s) => statusNames[s]), eventTime })),
          ).toEqual(
            asked.map(({ plan, thing, asOf }) =>
              oracle(
                plan.spec,
                rows.filter((row) => row.thing === thing),
                asOf,
              ),
            ),
          )
          for (const { plan, key, asOf } of asked) {
            if (key === null) continue
            const { features } = await explainView(opened.db, plan, key, { asOf, maxRows: 2 })
            const ofOneRow = features.filter(({ spec }) => spec.kind !== 'latest' && ofOne.has(spec.aggregate))
            const values = ofOneRow.map(({ winner, spec }) => winner?.value ?? spec.default)
            expect(values, 'the values of the rows that explanations name').toEqual(ofOneRow.map(({ value }) => value))
          }
          await opened.db.query(`DROP TABLE ${table}`)
        }),
        { numRuns: budget(40) },
      )
    })

    it('names the row that a least, greatest, first or last value comes from', async () => {
      await opened.db.query(
        `CREATE TABLE won AS SELECT 'a' AS thing, '2001-01-01'::timestamptz + n * interval '1 minute' AS at, null::timestamptz AS known, i, n::int8 AS big, f::float8 AS f, '' AS s
        FROM (VALUES (1, 5, '1'), (2, null, null), (3, 9, '-3'), (4, -2, 'NaN'), (5, 9, '7'), (6, 4, null)) rows (n, i, f)`,
      )
      const of = (aggregate: 'min' | 'max' | 'first' | 'last' | 'sum', column: 'i' | 'f'): FeatureSpec => {
        const type = { kind: column === 'i' && aggregate !== 'sum' ? 'int32' : 'float64' } as const
        return { kind: 'lifetime', aggregate, name: `${aggregate}_${column}`, column, type, default: null, required: false }
      }
      const features = [of('min', 'i'), of('max', 'i'), of('min', 'f'), of('max', 'f'), of('first', 'i'), of('last', 'f'), of('sum', 'i')]
      const plan = view(viewSpec('won', features, { kind: 'continuous' }), 'won')
      const asOf = parseTimestamp('2001-01-02T00:00:00Z')
      const explained = await explainView(opened.db, plan, encodeKey(plan.key, ['a']), { asOf, maxRows: 1 })
      const minutes = explained.features.map(({ winner }) =>
        winner === null ? null : (winner.eventTime - parseTimestamp('2001-01-01T00:00:00Z')) / minute,
      )
      expect(minutes).toEqual([4, 5, 4, 4, 1, 6, null])
      expect(explained.features.map(({ value }) => value)).toEqual([-2, 9, Number.NaN, Number.NaN, 5, null, 25])
    })

    it('uses an index on key and visible moment if there is one', async () => {
      await opened.db.query(
        `CREATE TABLE many AS SELECT 'key' || (i % 5000) AS thing, '2001-01-01'::timestamptz + i * interval '1 minute' AS at, null::timestamptz AS known, i, i::int8 AS big, 0::float8 AS f, '' AS s FROM generate_series(1, 50000) i`,
      )
      await opened.db.query(`CREATE INDEX ON many ((thing COLLATE "C"), greatest(at, known))`)
      await opened.db.query(`ANALYZE many`)
      const plan = view(
        viewSpec(
          'v',
          [{ kind: 'latest', name: 'x', column: 'i', type: { kind: 'int32' }, ttlMicros: null, default: null, required: false }],
          { kind: 'continuous' },
        ),
        'many',
      )
      const asOf = parseTimestamp('2001-01-01T00:00:00Z') + 400 * hour
      const answers = await readHistory(
        opened.db,
        [7, 9, 4999].map((n) => ({ plan, key: encodeKey(plan.key, [`key${n}`]), asOf })),
      )
      expect(answers.map(({ values }) => values[0])).toEqual([20007, 20009, 19999])
      const types = new Map([
        ['thing', 'text'],
        ['at', 'timestamptz'],
        ['known', 'timestamptz'],
      ])
      const key = [{ name: 'thing', type: { kind: 'string' } }] as const
      const request = {
        table: { relation: '"many"', types, hasRow: false, hasXid: false, hasOnlineOnly: false },
        key,
        eventTime: 'at',
        known: 'known',
        columns: [],
        row: false,
        xid: false,
        order: 'known',
      } as const
      const lines = await opened.db.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN ${streamSelect({ ...request, bounds: { keys: [encodeKey(key, ['key7'])], until: asOf } })}`,
      )
      expect(lines.map((line) => line['QUERY PLAN']).join('\n')).toMatch(/Index (Only )?Scan (using|on) many_/)
    })
  })
}
