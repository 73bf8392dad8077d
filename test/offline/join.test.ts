import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { statusNames } from '../../kernel/states/state.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { Availability, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { budget } from '../budget.ts'
import { everyMinutes, featuresArbitrary, hour, minute, oracle, rowsArbitrary, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import type { ThingRow } from './things.ts'
import { createThings, literal, service, time, view } from './things.ts'

const origin = parseTimestamp('2001-03-01T00:00:00Z')
const names = fc.constantFrom('a', 'B', 'b', 'é', 'Zz', 'a b', null)
const availability = fc.constantFrom<Availability>({ kind: 'continuous' }, everyMinutes(5, 0), everyMinutes(30, minute))
const moment = fc.oneof(
  fc.integer({ min: -10, max: 1080 }).map((m) => origin + m * minute),
  fc.integer({ min: 0, max: 18 * hour }).map((us) => origin + us),
)

/** Half of the lookups stand on or beside the very moment from which some row counts. */
const lookup = fc.record({
  at: moment,
  from: names,
  to: names,
  beside: fc.option(fc.record({ row: fc.nat(), view: fc.nat(), by: fc.constantFrom(-1, 0, 0, 1) })),
})

const world = fc.record({
  views: fc.array(fc.record({ features: featuresArbitrary, availability }), { minLength: 1, maxLength: 3 }),
  rows: fc
    .tuple(rowsArbitrary(origin, 60), fc.infiniteStream(names))
    .map(([rows, things]) => rows.map((row): ThingRow => ({ ...row, thing: things.next().value as string | null }))),
  lookups: fc.array(lookup, { maxLength: 25, size: 'medium' }),
  bound: fc.constantFrom('at' as const, 'before' as const),
  rule: fc.record<TimeRule>({ knowledge: fc.constantFrom('bitemporal', 'latest'), freshness: fc.constantFrom('served', 'ideal') }),
})

for (const { kind, open } of databases) {
  describe(`a join on ${kind}`, () => {
    let opened: OpenedDatabase
    let cases = 0
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    it('gives every spine row the fold over all rows visible at its moment', { timeout: 300_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(world, async ({ views, rows, lookups, bound, rule }) => {
          const spine = lookups.map((asked) => placed(asked, rows, views))
          const { db } = opened
          const table = `things_${cases++}`
          await createThings(db, table, rows)
          const plans = views.map((v, i) => view(viewSpec(`view_${i}`, v.features, v.availability), table))
          const uses = plans.flatMap((plan, i) => [
            { plan, alias: `from_${i}`, key: ['from'] },
            { plan, alias: `to_${i}`, key: ['to'] },
          ])
          const asked = service(uses)
          const tuples = spine.map((row, i) => `(${i}, ${literal(row.from)}, ${literal(row.to)}, ${time(row.at)}::timestamptz)`)
          const sql =
            tuples.length === 0
              ? `SELECT 0 AS id, 'x' AS "from", 'x' AS "to", now() AS moment WHERE false`
              : `SELECT * FROM (VALUES ${tuples.join(', ')}) v (id, "from", "to", moment) ORDER BY id`
          const found: unknown[] = []
          const drawn = await openSpine(db, asked, { sql })
          try {
            await joinSpine(db, asked, drawn, { bound, rule, statuses: true }, (batch) => {
              for (let row = 0; row < batch.length; row++) {
                found.push({
                  id: batch.spine[0]?.[row],
                  values: batch.values.map((column) => column[row]),
                  statuses: batch.statuses.map((column) => statusNames[column[row] ?? 0]),
                })
              }
            })
          } finally {
            await drawn.drop()
          }
          const expected = spine.map((row, id) => {
            const answers = uses.map(({ plan, key }) => {
              const thing = key[0] === 'from' ? row.from : row.to
              const mine = thing === null ? [] : rows.filter((r) => r.thing === thing)
              return expectedAt(plan.spec, mine, row.at, bound, rule)
            })
            return { id, values: answers.flatMap((a) => a.values), statuses: answers.flatMap((a) => a.statuses) }
          })
          expect(found).toEqual(expected)
          await db.query(`DROP TABLE ${table}`)
        }),
        { numRuns: budget(60) },
      )
    })
  })
}

function placed(
  { at, from, to, beside }: typeof lookup extends fc.Arbitrary<infer Q> ? Q : never,
  rows: readonly ThingRow[],
  views: readonly { availability: Availability }[],
) {
  if (beside === null || rows.length === 0) return { at, from, to }
  const row = rows[beside.row % rows.length] as ThingRow
  const known = Math.max(row.eventTime, row.knownTime ?? row.eventTime)
  return {
    at: scheduled((views[beside.view % views.length] as { availability: Availability }).availability, known) + beside.by,
    from: row.thing,
    to,
  }
}

/** The oracle knows the rule of time only; its exceptions are made by changing the rows and the view. */
function expectedAt(
  spec: ViewSpec,
  rows: readonly ThingRow[],
  t: number,
  bound: 'at' | 'before',
  rule: TimeRule,
): ReturnType<typeof oracle> {
  const ruled = rule.freshness === 'ideal' ? { ...spec, availability: { kind: 'continuous' } as const } : spec
  const visible = rows.filter((row) => {
    const known = rule.knowledge === 'latest' ? row.eventTime : Math.max(row.eventTime, row.knownTime ?? row.eventTime)
    const at = scheduled(ruled.availability, known)
    return bound === 'at' ? at <= t : at < t
  })
  // What is visible is settled, so the known time only orders ties: moved back by the same span for all, it still does,
  // and hides nothing.
  const ordered = visible.map((row) => ({ ...row, knownTime: (row.knownTime ?? row.eventTime) - 100 * hour }))
  return oracle({ ...ruled, availability: { kind: 'continuous' } }, ordered, t)
}

function scheduled(availability: Availability, visible: number): number {
  if (availability.kind === 'continuous') return visible
  const step = Number(availability.schedule.slice(2, availability.schedule.indexOf(' '))) * minute
  return Math.ceil(visible / step) * step + availability.delayMicros
}
