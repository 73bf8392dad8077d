import fc from 'fast-check'
import { expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { appendEvents } from '../../materializer/events/append-events.ts'
import { createEventReader } from '../../materializer/events/event-reader.ts'
import { readEventTable } from '../../materializer/events/event-table.ts'
import { foldTransactions } from '../../materializer/events/fold-transactions.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { readHistory } from '../../offline/history.ts'
import { readOnline } from '../../online/read.ts'
import { planPushTable } from '../../registry/push-table.ts'
import { describeSource } from '../../registry/changes/source-table.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { budget } from '../budget.ts'
import { allColumns, featuresArbitrary, hour, oracle, rowsArbitrary, viewSpec } from '../kernel/view-oracle.ts'
import type { ThingRow } from '../offline/things.ts'
import { createThings, literal, time, view } from '../offline/things.ts'
import { materializerFixture } from './fixture.ts'

const fixture = materializerFixture()
const origin = parseTimestamp('2001-03-01T00:00:00Z')
/** After all times of the rows. */
const end = origin + 60 * hour

const things = fc.constantFrom('a', 'B', 'é')
const keyed = (maxLength: number) =>
  fc
    .tuple(rowsArbitrary(origin, maxLength), fc.infiniteStream(things))
    .map(([rows, of]) => rows.map((row): ThingRow => ({ ...row, thing: of.next().value as string })))
/** The changes of the table, in order. Rows are pushed or inserted by the user's own statement. */
const step = fc.record({
  rows: keyed(4),
  how: fc.constantFrom('own', 'push', 'push'),
  receivedAt: fc.integer({ min: 0, max: 12 }).map((hours) => origin + hours * hour),
  next: fc.constantFrom('fold', 'run', 'nothing'),
})
const world = fc.record({ features: featuresArbitrary, before: keyed(12), steps: fc.array(step, { minLength: 1, maxLength: 6 }) })

/** Events have no NaN. */
const pushed = (rows: readonly ThingRow[]) => rows.filter(({ values }) => !values.some((value) => Number.isNaN(value)))
const sendable = (value: Value | null): unknown =>
  typeof value === 'bigint' || value === Infinity || value === -Infinity ? String(value) : value
const shown = ({ values, statuses, eventTime }: ViewValues) => ({ values, statuses: statuses.map((s) => statusNames[s]), eventTime })

it("has the oracle's values online and offline, for own and pushed rows in any order", async () => {
  const { db, store } = fixture().open('embedded')
  let cases = 0
  await fc.assert(
    fc.asyncProperty(world, async ({ features, before, steps }) => {
      const table = `things_${cases++}`
      const known: ThingRow[] = []
      const note = (rows: readonly ThingRow[], receivedAt = Number.NEGATIVE_INFINITY): void => {
        for (const row of rows) {
          const knownTime = receivedAt > Number.NEGATIVE_INFINITY ? Math.max(row.knownTime ?? receivedAt, receivedAt) : row.knownTime
          known.push({ ...row, knownTime, tie: known.length + 1 })
        }
      }
      await createThings(db, table, before, false)
      note(before)
      const plan = view(viewSpec(`pushed_${cases}`, features, { kind: 'continuous' }), table)
      const { source } = plan.spec
      expect(await materializeView(db, store, plan, { moment: end })).toMatchObject({ mode: 'full' })
      const { change, problems } = await planPushTable(db.kysely, source, [plan.spec.entity], await describeSource(db.kysely, source))
      expect(problems).toEqual([])
      for (const statement of change.statements) await db.query(statement)
      await expect(materializeView(db, store, plan, { moment: end })).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
      await materializeView(db, store, plan, { moment: end, rebuild: true })
      for (const { rows, how, receivedAt, next } of steps) {
        if (how === 'own') {
          await insert(db, table, rows)
          note(rows)
        } else {
          const xid = await push(db, plan, pushed(rows), receivedAt)
          note(pushed(rows), receivedAt)
          if (next === 'fold' && xid !== null) await foldTransactions(db, store, [plan], [xid], { moment: end })
        }
        if (next === 'run') await materializeView(db, store, plan, { moment: end })
      }
      await materializeView(db, store, plan, { moment: end })
      const requests = ['a', 'B', 'é'].map((thing) => ({ thing, plan, key: encodeKey(plan.key, [thing]) }))
      const expected = (asOf: number) =>
        requests.map(({ thing }) =>
          oracle(
            plan.spec,
            known.filter((row) => row.thing === thing),
            asOf,
          ),
        )
      const online = await readOnline(store, requests, end)
      expect(online.map(({ values }) => values && shown(values))).toEqual(expected(end))
      for (const asOf of [origin + 3 * hour, origin + 11 * hour, end]) {
        const history = await readHistory(db, requests.map((request) => ({ ...request, asOf }))) // prettier-ignore
        expect(history.map(shown)).toEqual(expected(asOf))
      }
      await db.query(`drop table ${table}`)
    }),
    { numRuns: budget(100) },
  )
})

async function insert(db: Database, table: string, rows: readonly ThingRow[]): Promise<void> {
  if (rows.length === 0) return
  const tuples = rows.map((row) => [
    literal(row.thing),
    time(row.eventTime),
    time(row.knownTime),
    ...allColumns.map((_, i) => literal(row.values[i] ?? null)),
  ])
  await db.query(
    `insert into ${table} (thing, at, known, i, big, f, s, ok) values ${tuples.map((tuple) => `(${tuple.join(', ')})`).join(', ')}`,
  )
}

/** Returns the transaction that wrote the rows. */
async function push(db: Database, { spec }: ViewPlan, rows: readonly ThingRow[], receivedAt: number): Promise<number | null> {
  const table = await readEventTable(db, spec.source)
  const read = createEventReader(table, { futureMicros: 1_000 * hour })
  const names = spec.source.columns.map(({ name }) => name)
  const events = rows.map(({ thing, eventTime, knownTime, values }) => ({
    thing,
    at: eventTime,
    known: knownTime,
    ...Object.fromEntries(allColumns.flatMap(({ name }, i) => (names.includes(name) ? [[name, sendable(values[i] ?? null)]] : []))),
  }))
  const { xid } = await appendEvents(
    db,
    table,
    events.map((event, i) => read(event, i, receivedAt)),
    { to: 'both' },
  )
  return xid
}
