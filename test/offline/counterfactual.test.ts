import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { allBelow, covers, noTransactions, oneTransaction, union } from '../../kernel/states/frontier.ts'
import type { EntityState, ViewValues } from '../../kernel/states/state.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Availability, FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { byRowSet, computeCounterfactuals } from '../../offline/counterfactual.ts'
import { budget } from '../budget.ts'
import { everyMinutes, featuresArbitrary, hour, minute, oracle, rowsArbitrary, viewSpec, visibleAt } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import type { ThingRow } from './things.ts'
import { createThings, view } from './things.ts'

const origin = parseTimestamp('2001-03-01T00:00:00Z')
const transactions = 9

/** All transactions below one, and up to two more. */
const frontiers = fc
  .tuple(fc.nat(transactions), fc.array(fc.nat(transactions), { maxLength: 2 }))
  .map(([below, more]) => more.reduce<Frontier>((all, xid) => union(all, oneTransaction(xid)), allBelow(below)))

const names = fc.constantFrom('a', 'é')
const world = fc.record({
  features: featuresArbitrary,
  availability: fc.constantFrom<Availability>({ kind: 'continuous' }, everyMinutes(30, minute)),
  graceMicros: fc.constantFrom(0, minute, 2 * hour),
  hasArrivals: fc.boolean(),
  rows: fc
    .tuple(rowsArbitrary(origin, 40), fc.infiniteStream(names))
    .map(([rows, things]) => rows.map((row): ThingRow => ({ ...row, thing: things.next().value as string }))),
  served: fc.array(
    fc.record({
      thing: fc.oneof(names, fc.constant('nobody')),
      at: fc.integer({ min: -10, max: 1080 }).map((m) => origin + m * minute),
      frontier: frontiers,
      committed: frontiers,
    }),
    { maxLength: 20, size: 'medium' },
  ),
})

const shown = ({ values, statuses, eventTime }: ViewValues) => ({ values, statuses: statuses.map((s) => statusNames[s]), eventTime })

for (const { kind, open } of databases) {
  describe(`counterfactuals in ${kind}`, () => {
    let opened: OpenedDatabase
    let cases = 0
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    it('equal a fold over the rows of each set, for answers in any order', async () => {
      const xidOf = ({ tie }: ThingRow) => (tie * 7) % transactions
      await fc.assert(
        fc.asyncProperty(world, async ({ features, availability, graceMicros, hasArrivals, rows, served }) => {
          const table = `facts_${cases++}`
          await createThings(opened.db, table, rows)
          await opened.db.query(`UPDATE ${table} SET "_xid" = ("_row" * 7 % ${transactions})::text::xid8`)
          const plan = view(viewSpec('v', features, availability), table)
          const answers = served.map(({ thing, at, ...rest }) => ({
            key: encodeKey(plan.key, [thing]),
            asOf: at,
            onlineOnly: true,
            ...rest,
          }))
          const found = await computeCounterfactuals(opened.db, plan, answers, { hasArrivals, graceMicros })
          const expected = served.map(({ thing, at, frontier, committed }) => {
            const visible = rows.filter((row) => row.thing === thing && visibleAt(availability, row) <= at)
            const isSettled = (row: ThingRow) => visibleAt(availability, row) <= at - graceMicros
            const isOwn = (row: ThingRow) => (hasArrivals ? covers(frontier, xidOf(row)) : isSettled(row))
            const isCommitted = (row: ThingRow) => isSettled(row) && (!hasArrivals || covers(committed, xidOf(row)))
            const sets = {
              all: visible,
              frontier: visible.filter(isOwn),
              expected: visible.filter((row) => isOwn(row) || isSettled(row)),
              committed: visible.filter((row) => isOwn(row) || isCommitted(row)),
            }
            const reversed = (set: readonly ThingRow[]) => set.map((row) => ({ ...row, tie: -row.tie }))
            const all = { ...sets, allReversed: reversed(sets.all), frontierReversed: reversed(sets.frontier) }
            return byRowSet((rowSet) => oracle(plan.spec, all[rowSet], at))
          })
          expect(found.map((each) => byRowSet((rowSet) => shown(each[rowSet])))).toEqual(expected)
          await opened.db.query(`DROP TABLE ${table}`)
        }),
        { numRuns: budget(40) },
      )
    })

    const features: FeatureSpec[] = [
      { kind: 'latest', name: 'last', column: 'i', type: { kind: 'int32' }, ttlMicros: null, default: null, required: false },
    ]
    for (const key of ['thing', null] as const) {
      it(`add each row of ${key === null ? 'a view without a key' : 'an entity'} once for 1,000 answers, a few in a turn`, async () => {
        const [rows, probes] = [2000, 1000]
        const table = `hot_${cases++}`
        await opened.db.query(
          `CREATE TABLE ${table} AS SELECT 'hot' AS thing, to_timestamp(${origin / 1e6}) + i * interval '1 minute' AS at, null::timestamp AS known,
             i, i::int8 AS big, 0::float8 AS f, '' AS s, i::int8 AS "_row", i::text::xid8 AS "_xid" FROM generate_series(1, ${rows}) i`,
        )
        const spec = viewSpec('v', features, { kind: 'continuous' })
        const global = { ...spec, entity: { name: 'all', key: [] }, source: { ...spec.source, key: [] } }
        const plan = view(key === null ? global : spec, table)
        const served = Array.from({ length: probes }, (_, i) => ({
          key: key === null ? '' : encodeKey(plan.key, ['hot']),
          asOf: origin + 2 * i * minute,
          frontier: i % 3 === 0 ? noTransactions : allBelow(2 * i - 1),
          committed: allBelow(2 * i),
          onlineOnly: true,
        }))
        const counted = countSteps(plan, 40_000)
        const found = await computeCounterfactuals(opened.db, counted.plan, served, { hasArrivals: true, graceMicros: minute })
        expect(found.map(({ all }) => all.values[0])).toEqual(served.map((_, i) => (i === 0 ? null : 2 * i)))
        const { total, maxInTurn } = counted.end()
        // two chains: a third of the answers has rows of no transaction
        expect(total).toBeLessThanOrEqual(6 * (2 * rows + probes))
        // a step takes at least 20 µs, and a turn 1 ms; the turn is checked after a few steps
        expect(maxInTurn).toBeLessThan(200)
      })
    }
  })
}

/** Counts the calls of a plan's states. Each takes at least 20 µs, so a turn of bounded time has a bounded number. */
function countSteps(plan: ViewPlan, limit: number): { plan: ViewPlan; end(): { total: number; maxInTurn: number } } {
  let [total, inTurn, maxInTurn, ended] = [0, 0, 0, false]
  const countTurn = () => {
    maxInTurn = Math.max(maxInTurn, inTurn)
    inTurn = 0
    if (!ended) setImmediate(countTurn)
  }
  setImmediate(countTurn)
  const step = () => {
    inTurn++
    if (++total > limit) throw new Error(`more than ${limit} steps, ${Math.max(maxInTurn, inTurn)} in a turn`)
    for (const startMs = performance.now(); performance.now() - startMs < 0.02;);
  }
  const newState = (): EntityState => {
    const state = plan.newState()
    return new Proxy(state, {
      get(_, name) {
        if (name === 'add') return (...parameters: Parameters<EntityState['add']>) => (step(), state.add(...parameters))
        if (name === 'valueAt') return (...parameters: Parameters<EntityState['valueAt']>) => (step(), state.valueAt(...parameters))
        throw new Error(`The state's "${String(name)}" is not counted.`)
      },
    })
  }
  return {
    plan: { ...plan, newState },
    end() {
      ended = true
      countTurn()
      return { total, maxInTurn }
    },
  }
}
