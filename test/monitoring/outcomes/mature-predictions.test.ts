import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Value } from '../../../kernel/values/value-type.ts'
import { maturePredictions } from '../../../monitoring/outcomes/mature-predictions.ts'
import type { MatureQuery } from '../../../monitoring/outcomes/mature-predictions.ts'
import type { OutcomeRow } from '../../../monitoring/outcomes/outcome-row.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { applyPayments, hour, logPredictions, report, start } from './payments.ts'

let opened: OpenedDatabase
let catalog: Catalog
beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
})
afterAll(() => opened?.close())
beforeEach(() => opened.db.script('TRUNCATE lockstep.prediction_log; TRUNCATE lockstep_source.reports'))

async function read(outcome: string, asOfHour: number, options: Partial<MatureQuery> = {}): Promise<OutcomeRow[]> {
  const query = { outcome: catalog.outcome(outcome), from: start, to: start + 1000 * hour, asOf: start + asOfHour * hour, ...options }
  const rows = await opened.db.snapshot(async (snapshot) => {
    const found: OutcomeRow[] = []
    for await (const batch of maturePredictions(snapshot, query)) found.push(...batch)
    return found
  })
  return rows.sort((a, b) => (a.predictionId < b.predictionId ? -1 : 1))
}

async function outcomes(outcome: string, asOfHour: number): Promise<Record<string, Value | null>> {
  return Object.fromEntries((await read(outcome, asOfHour)).map((row) => [row.predictionId, row.outcome]))
}

describe('mature predictions', () => {
  it('are those after which "within" has passed, also where an outcome came early', async () => {
    await logPredictions(opened.db, [
      { id: 'a', card: 'A', atHour: 0 },
      { id: 'b', card: 'B', atHour: 1 },
    ])
    await report(opened.db, { card: 'A', id: 'a', atHour: 2, isFraud: true })
    await report(opened.db, { card: 'B', id: 'b', atHour: 2, isFraud: false })
    expect(await outcomes('labelled', 23)).toEqual({})
    expect(await outcomes('labelled', 24)).toEqual({ a: true })
    expect(await outcomes('labelled', 25)).toEqual({ a: true, b: false })
    const [, immature] = await read('labelled', 24, { immature: true })
    expect(immature).toMatchObject({ predictionId: 'b', mature: false, matched: false, outcome: null, outcomeAt: null })
  })

  it('have the greatest row that was known by then: corrections count from when they are known', async () => {
    await logPredictions(opened.db, [{ id: 'a', card: 'A', atHour: 0 }])
    await report(opened.db, { card: 'A', id: 'a', atHour: 2, isFraud: false })
    await report(opened.db, { card: 'A', id: 'a', atHour: 2, knownHour: 40, isFraud: true })
    expect(await outcomes('labelled', 39)).toEqual({ a: false })
    expect(await outcomes('labelled', 40)).toEqual({ a: true })
  })

  it('do not have a row that happened after "within", and keep an earlier one', async () => {
    await logPredictions(opened.db, [
      { id: 'a', card: 'A', atHour: 0 },
      { id: 'b', card: 'B', atHour: 0 },
    ])
    await report(opened.db, { card: 'A', id: 'a', atHour: 24, isFraud: false })
    await report(opened.db, { card: 'A', id: 'a', atHour: 25, isFraud: true })
    await report(opened.db, { card: 'B', id: 'b', atHour: 25, isFraud: true })
    expect(await read('labelled', 90)).toMatchObject([
      { predictionId: 'a', matched: true, outcome: false, outcomeAt: start + 24 * hour },
      { predictionId: 'b', matched: false, outcome: null, outcomeAt: null },
    ])
  })

  it('of a shadow have the outcome of the answer to the same row, which is what clients name', async () => {
    await logPredictions(opened.db, [
      { id: 'r.1/0', card: 'A', atHour: 0 },
      { id: 'r.1.shadow/0', card: 'A', atHour: 0, version: 2, role: 'shadow' },
      // ids of a caller may look so
      { id: 'q.shadow/x/0', card: 'B', atHour: 0 },
    ])
    await report(opened.db, { card: 'A', id: 'r.1/0', atHour: 2, isFraud: true, loss: 101 })
    await report(opened.db, { card: 'B', id: 'q.shadow/x/0', atHour: 2, isFraud: false, loss: 1 })
    expect(await outcomes('labelled', 24)).toEqual({ 'r.1/0': true, 'r.1.shadow/0': true, 'q.shadow/x/0': false })
    expect(await read('costly', 24, { versions: [2] })).toMatchObject([{ outcome: true, amounts: [101], matched: true }])
    expect(await read('costly', 24, { prediction: 'r.1.shadow/0' })).toMatchObject([{ outcome: true, matched: true }])
  })

  it('without a row have the declared value, and a computed value where a function gives it', async () => {
    await logPredictions(opened.db, [
      { id: 'a', card: 'A', atHour: 0 },
      { id: 'b', card: 'B', atHour: 0 },
      { id: 'c', card: 'C', atHour: 0 },
    ])
    await report(opened.db, { card: 'A', id: 'a', atHour: 2, loss: 101 })
    await report(opened.db, { card: 'C', id: 'c', atHour: 2, loss: null })
    expect(await outcomes('costly', 24)).toEqual({ a: true, b: false, c: null })
  })

  it('match by key: the first or last row after the prediction and within the time', async () => {
    await logPredictions(opened.db, [
      { id: 'a', card: 'A', atHour: 1 },
      { id: 'b', card: 'B', atHour: 1 },
      { id: 'c', card: "C'\\", atHour: 1 },
    ])
    for (const [atHour, loss] of [
      [1, 10],
      [3, 30],
      [2, 20],
      [25, 250],
      [26, 260],
    ] as const)
      await report(opened.db, { card: 'A', atHour, loss })
    await report(opened.db, { card: "C'\\", atHour: 5, knownHour: 60, loss: 50 })
    expect(await outcomes('lost', 50)).toEqual({ a: 20, b: 0, c: 0 })
    expect(await outcomes('lost_last', 50)).toEqual({ a: 250, b: null, c: null })
    expect(await outcomes('lost', 60)).toEqual({ a: 20, b: 0, c: 50 })
  })

  it('have the output, the entity and the requested columns, of the requested versions', async () => {
    await logPredictions(opened.db, [
      { id: 'a', card: 'A', atHour: 0, probability: 0.25 },
      { id: 'b', card: 'A', atHour: 0, version: 2, probability: 1e-7 },
    ])
    const rows = await read('labelled', 24, { columns: ['paid1h', 'card', 'nothing'], versions: [2] })
    expect(rows).toMatchObject([{ version: 2, output: 1e-7, entity: '{"card":"A"}', columns: [3, 'A', null] }])
    const [first] = await read('labelled', 24)
    expect(first).toMatchObject({ output: 0.25, role: 'champion', at: start, asOf: start, columns: [] })
  })
})
