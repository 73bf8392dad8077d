import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { experimentPlanText } from '../../../cli/text/experiment-plan-text.ts'
import type { ExperimentSpec, MetricSpec } from '../../../kernel/specs/experiment-spec.ts'
import type { PlanQuery } from '../../../monitoring/experiments/plan-experiment.ts'
import { planExperiment } from '../../../monitoring/experiments/plan-experiment.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { experimentPlanAnswer } from '../../../serving/protocols/http/experiments/experiment-plan-schema.ts'
import { createRandom } from '../../../statistics/random.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import type { Order, Prediction } from './shop.ts'
import { addOrders, addPredictions, applyShop, day, start } from './shop.ts'

const minute = 60_000_000
const [logDays, allDays] = [14, 70]
const [regulars, strangersByDay] = [300, 20]

let opened: OpenedDatabase
let catalog: Catalog
let spec: ExperimentSpec
/** By day: the units that had no prediction before. */
const newUnits: number[] = []

/** Regulars come every second day; strangers come once. The log has the first 14 of 70 days. */
beforeAll(async () => {
  const random = createRandom(31)
  const predictions: Prediction[] = []
  const orders: Order[] = []
  const seen = new Set<string>()
  for (let d = 0; d < allDays; d++) {
    const before = seen.size
    const come = (user: string): void => {
      const at = start + Math.floor((d + random.next()) * day)
      if (d < logDays) predictions.push({ id: `p${predictions.length}`, user, variant: 'control', at })
      if (!seen.has(user))
        orders.push({ user, at: at + minute / 2, known: at + minute / 2, amount: 100 + 30 * random.normal(), items: 1, returned: false })
      seen.add(user)
    }
    for (let u = 0; u < regulars; u++) if (random.next() < 0.5) come(`regular${u}`)
    for (let u = 0; u < strangersByDay; u++) come(`stranger${d}-${u}`)
    newUnits.push(seen.size - before)
  }
  opened = await openServer()
  const applied = await applyShop(opened.db)
  catalog = applied.catalog
  const [revenue] = applied.spec.metrics as readonly [MetricSpec]
  spec = { ...applied.spec, metrics: [{ ...revenue, withinMicros: minute }], covariates: [] }
  await addOrders(opened.db, orders)
  await addPredictions(opened.db, predictions)
})
afterAll(() => opened?.close())

async function plan(query: Partial<PlanQuery>) {
  const asked = { coverage: 1, from: start, asOf: start + logDays * day, effect: 0.03, power: 0.8, ...query }
  const found = await planExperiment(opened.db, catalog, spec, asked)
  expect(experimentPlanAnswer.parse(found)).toEqual(found)
  return found
}

/** The units that a simulated experiment has after some days. */
function unitsAfter(days: number): number {
  return newUnits.slice(0, days).reduce((sum, units) => sum + units, 0)
}

describe('the plan of an experiment', () => {
  test('counts units that return once, and agrees with the days that the log does not have yet', async () => {
    const { traffic, horizons, needs, notes } = await plan({ effect: 0.08 })
    expect(notes).toEqual([])
    expect(traffic).toMatchObject({ days: expect.closeTo(logDays, 0), units: unitsAfter(logDays) })
    expect(horizons.map(({ days, atLeast }) => [days, atLeast])).toEqual([7, 14, 28, 56].map((days) => [days, false]))
    for (const { days, units } of horizons) expect(Math.abs(units / unitsAfter(days) - 1)).toBeLessThan(0.1)
    const units = needs?.units ?? 0
    expect(units).toBeGreaterThan(unitsAfter(logDays))
    const days = newUnits.findIndex((_, d) => unitsAfter(d + 1) >= units) + 1
    expect(Math.abs((needs?.days ?? 0) - days)).toBeLessThanOrEqual(3)
  })

  test('knows no units a day of a log of less than a week', async () => {
    for (const days of [1, 6]) {
      const found = await plan({ asOf: start + days * day, effect: 0.01 })
      expect(found.traffic).toMatchObject({ units: unitsAfter(days), unitsByDay: null })
      expect(found.notes[0]).toContain(`The log has predictions of ${days} of the 7 days that the plan needs`)
      expect(found.horizons.map(({ units, atLeast }) => [units, atLeast])).toEqual([7, 14, 28, 56].map(() => [unitsAfter(days), true]))
      expect(found.needs).toMatchObject({ days: null })
      const text = experimentPlanText(found)
      expect(text).toMatch(/; new units a day are not known\nNote: The log has .*\nNote: .*--since/)
      expect(text).toMatch(/\n *28 +at least \d+ +at most [\d.]+ +at most [\d.]+ %\n/)
      expect(text).toContain('units, in a time that is not known. Declare it')
    }
    expect((await plan({ asOf: start + 7 * day })).notes).toEqual([])
  })

  test('takes a log with old predictions and a long gap for a short one', async () => {
    await opened.db.query(`DELETE FROM lockstep.prediction_log WHERE at >= to_timestamp($1)`, [(start + 2 * day) / 1e6])
    const found = await plan({})
    expect(found.traffic).toMatchObject({ days: expect.closeTo(logDays, 0), unitsByDay: null })
    // the log says nothing of the days after it
    expect(found.horizons.map(({ units, atLeast }) => [units, atLeast])).toEqual(
      [7, 14, 28, 56].map((days) => [unitsAfter(2), days > logDays]),
    )
  })
})
