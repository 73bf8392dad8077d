import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Value } from '../../../kernel/values/value-type.ts'
import { countOutcomes } from '../../../monitoring/outcomes/count-outcomes.ts'
import { joinedSql } from '../../../monitoring/outcomes/outcome-sql.ts'
import { maturePredictions } from '../../../monitoring/outcomes/mature-predictions.ts'
import { readSourceTable } from '../../../offline/rows/source-table.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { budget } from '../../budget.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { applyPayments, hour, logPredictions, start } from './payments.ts'

// Outcomes read by SQL against a plain search among all rows. `within` is 24 hours.

interface Row {
  readonly card: string
  readonly id: string | null
  readonly event: number
  readonly known: number | null
  readonly loss: number | null
}

const times = fc.integer({ min: 0, max: 60 })
const cards = fc.constantFrom('a', 'b', 'B', 'é')
const worlds = fc.record({
  predictions: fc.array(fc.record({ card: cards, atHour: times }), { minLength: 1, maxLength: 12 }),
  rows: fc.array(
    fc.record<Row>({
      card: cards,
      id: fc.option(fc.constantFrom('p0', 'p1', 'p2', 'p3')),
      event: times,
      known: fc.option(times),
      loss: fc.option(fc.integer({ min: 1, max: 5 })),
    }),
    { maxLength: 40 },
  ),
  asOf: fc.integer({ min: 20, max: 110 }),
})

let opened: OpenedDatabase
let catalog: Catalog
beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
})
afterAll(() => opened?.close())

/** The greatest of the rows in the total order: event time, known time, arrival. */
function greatest(rows: readonly (Row & { readonly arrival: number })[], take: 'first' | 'last'): Row | undefined {
  return rows.toSorted(
    (a, b) =>
      (take === 'first' ? a.event - b.event : b.event - a.event) ||
      Math.max(b.event, b.known ?? 0) - Math.max(a.event, a.known ?? 0) ||
      b.arrival - a.arrival,
  )[0]
}

it('outcomes are those that a search among all rows finds', async () => {
  await fc.assert(
    fc.asyncProperty(worlds, async ({ predictions, rows, asOf }) => {
      await opened.db.script('TRUNCATE lockstep.prediction_log; TRUNCATE lockstep_source.reports RESTART IDENTITY')
      await logPredictions(
        opened.db,
        predictions.map((each, i) => ({ ...each, id: `p${i}` })),
      )
      const moment = (at: number | null) => (at === null ? null : (start + at * hour) / 1e6)
      const columns = [rows.map(({ card }) => card), rows.map(({ id }) => id), rows.map(({ event }) => moment(event))]
      await opened.db.query(
        `INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, loss)
         SELECT card, id, to_timestamp(event), to_timestamp(known), loss
         FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::float8[]) r(card, id, event, known, loss)`,
        [...columns, rows.map(({ known }) => moment(known)), rows.map(({ loss }) => loss)],
      )
      const visible = rows.map((row, arrival) => ({ ...row, arrival })).filter(({ event, known }) => Math.max(event, known ?? 0) <= asOf)
      for (const [name, missing] of [
        ['lost', 0],
        ['lost_last', null],
        ['costly', false],
      ] as const) {
        const expected: Record<string, Value | null> = {}
        for (const [i, { card, atHour }] of predictions.entries()) {
          if (atHour + 24 > asOf) continue
          const ofKey = visible.filter((row) => row.card === card && row.event > atHour && row.event <= atHour + 24)
          const ofId = visible.filter((row) => row.id === `p${i}` && row.event <= atHour + 24)
          const found = name === 'costly' ? greatest(ofId, 'last') : greatest(ofKey, name === 'lost' ? 'first' : 'last')
          const value = found === undefined ? missing : name === 'costly' && found.loss !== null ? found.loss > 100 : found.loss
          expected[`p${i}`] = value
        }
        const query = { outcome: catalog.outcome(name), from: start, to: start + 100 * hour, asOf: start + asOf * hour }
        const [read, counts] = await opened.db.snapshot(async (snapshot) => {
          const all: (readonly [string, Value | null])[] = []
          for await (const batch of maturePredictions(snapshot, query))
            for (const { predictionId, outcome } of batch) all.push([predictionId, outcome])
          return [all, await countOutcomes(snapshot, query)]
        })
        expect(read).toHaveLength(Object.keys(expected).length)
        expect(Object.fromEntries(read)).toEqual(expected)
        expect(counts).toMatchObject({ predictions: predictions.length, mature: read.length })
      }
    }),
    { numRuns: budget(200) },
  )
})

it('are never joined row by row, even before PostgreSQL has statistics of the log', async () => {
  const { db } = opened
  await db.script(`TRUNCATE lockstep.prediction_log; TRUNCATE lockstep_source.reports;
    ALTER TABLE lockstep_source.reports SET (autovacuum_enabled = false)`)
  for (const name of ['labelled', 'lost']) {
    const query = { outcome: catalog.outcome(name), from: start, to: start + hour, asOf: start + hour }
    const joined = joinedSql(await db.snapshot((snapshot) => readSourceTable(snapshot, query.outcome.spec.source)), query, true)
    const plan = await db.snapshot(async (snapshot) => {
      await countOutcomes(snapshot, query)
      return await snapshot.query<{ 'QUERY PLAN': string }>(`EXPLAIN SELECT count(o.late) FROM ${joined}`)
    })
    const text = plan.map((line) => line['QUERY PLAN']).join('\n')
    expect(text).toMatch(/Hash|Merge/)
    expect(text).not.toContain('Nested Loop')
  }
})

it('of one prediction are found by the index on the key', async () => {
  const { db } = opened
  await logPredictions(db, [{ id: 'p0', card: 'a', atHour: 1 }])
  for (const [name, key] of [
    ['chargeback', 'prediction_id'],
    ['lost', 'card'],
  ] as const) {
    const query = { outcome: catalog.outcome(name), from: start, to: start + 9 * hour, asOf: start + 9 * hour, prediction: 'p0' }
    const plan = await db.snapshot(async (snapshot) => {
      const joined = joinedSql(await readSourceTable(snapshot, query.outcome.spec.source), query, true)
      // a table of few rows is cheaper to scan
      await snapshot.query('SET LOCAL enable_seqscan = off')
      return await snapshot.query<{ 'QUERY PLAN': string }>(`EXPLAIN SELECT count(o.late) FROM ${joined}`)
    })
    // that of the log has no cast
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toContain(`Index Cond: (((${key})::text = `)
  }
})
