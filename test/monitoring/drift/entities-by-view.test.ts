import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { allPresent } from '../../../kernel/states/state.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import { rollupSides } from '../../../monitoring/drift/baseline-sides.ts'
import type { ColumnComparison } from '../../../monitoring/drift/compare-column.ts'
import { compareColumn } from '../../../monitoring/drift/compare-column.ts'
import { ColumnsSummary } from '../../../monitoring/rollups/columns-summary.ts'
import { modelRollup } from '../../../monitoring/rollups/model-rollup.ts'
import { RowRecorder } from '../../../monitoring/rollups/row-recorder.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { createTrainingProfiler, readCompressedRows } from '../../../offline/datasets/training-profile.ts'
import type { Random } from '../../../statistics/random.ts'
import { createRandom } from '../../../statistics/random.ts'
import { servicePlan } from '../../serving/plans.ts'

// each row has features of its origin, one of 2,000 airports, and of its destination, one of a few
const service = servicePlan('route')
const recorded = { service, outputs: [{ name: 'out', type: { kind: 'float64' } }] } as const
const origins = 2000
const statuses = allPresent(2)

interface Row {
  readonly keys: readonly [origin: string, destination: string]
  /** The last delay and the count of landings, of origin and destination. */
  readonly values: readonly [readonly Value[], readonly Value[]]
}

/** Rows of a window in which each destination has a level of its own. @param shift added to the levels */
function draw(random: Random, destinations: number, rows: number, shift = 0): Row[] {
  const levels = Array.from({ length: destinations }, () => random.normal() + shift)
  return Array.from({ length: rows }, () => {
    const destination = random.below(destinations)
    const count = () => random.below(30)
    return {
      keys: [`o${random.below(origins)}`, `d${destination}`],
      values: [
        [random.normal(), count()],
        [(levels[destination] as number) + random.normal() / 4, count()],
      ],
    }
  })
}

function trainingProfile(rows: readonly Row[]) {
  const profiler = createTrainingProfiler(service, service.keys)
  const of = (values: (row: Row) => readonly (Value | null)[]) =>
    values(rows[0] as Row).map((_, c) => rows.map((row) => values(row)[c] as Value))
  const values = of((row) => row.values.flat())
  profiler.update({ values, statuses: values.map(() => allPresent(rows.length)), spine: of((row) => row.keys), length: rows.length }, null)
  return profiler.result([])
}

/** Compares a window that three processes served with a training set, by column. */
function compareWindows(training: readonly Row[], served: readonly Row[]): Map<string, ColumnComparison> {
  const { columns } = trainingProfile(training)
  const baseline = { columns: new Map(columns.map(({ name, bins }) => [name, { bins, binsId: 'bins' }])) }
  const processes = [0, 1, 2].map(() => new RowRecorder(recorded, baseline))
  for (const [i, { keys, values }] of served.entries()) {
    const row = service.evaluate(
      values.map((own) => ({ values: own, statuses, eventTime: 0 })),
      [],
      0,
    )
    processes[i % 3]?.take({ keys, request: [] }, row, [0])
  }
  const summary = new ColumnsSummary()
  for (const each of processes) summary.merge(ColumnsSummary.decode(each.summary().encode()) ?? new ColumnsSummary())
  const window = { from: 0, to: 1, coverage: { minutes: 1, missing: [] } }
  const rollup = modelRollup(window, new TrafficSummary(), summary, new TrafficSummary())
  const sides = rollupSides(
    rollup,
    columns.map(({ name, type, bins }) => ({ name, type, bins, binsId: 'bins' })),
  )
  return new Map(
    columns.map(({ name, bins, statuses: counts, sums, numbers }) => {
      const now = sides.get(name)
      if (now === undefined) throw new Error(`${name} was not counted`)
      return [name, compareColumn(bins, { statuses: counts, counts: [...sums.counts], sums, numbers }, now)]
    }),
  )
}

describe('the feature of a view with other entities than the first', () => {
  it('is not tested if its view has few entities', () => {
    const random = createRandom(1)
    const compared = compareWindows(draw(random, 12, 4000), draw(random, 12, 4000))
    expect(compared.get('destination__lastDelay')?.test).toMatchObject({
      p: null,
      reason: 'The baseline has the weight of 11 entities; a test needs 30',
    })
    expect(compared.get('lastDelay')?.test?.p).toBeGreaterThan(0.001)
  })

  it('drifts by chance in as many windows as the level says, and always if it moved', () => {
    const random = createRandom(2)
    const ps = Array.from({ length: 50 }, () => {
      const compared = compareWindows(draw(random, 200, 1000), draw(random, 200, 1000))
      expect(compared.get('destination__lastDelay')?.test?.entities.window).toBeGreaterThan(150)
      return compared.get('destination__lastDelay')?.test?.p ?? Number.NaN
    })
    // of 50 uniform ones, 2.5 on average; more than 8 in one of 1,000 runs
    expect(ps.filter((p) => p < 0.05).length).toBeLessThan(9)
    expect(ps.filter((p) => p < 0.5).length).toBeGreaterThan(12)
    expect(ps.filter((p) => p < 0.5).length).toBeLessThan(38)
    for (let i = 0; i < 5; i++) {
      const moved = compareWindows(draw(random, 200, 1000), draw(random, 200, 1000, 1))
      expect(moved.get('destination__lastDelay')?.test?.p).toBeLessThan(1e-5)
      expect(moved.get('lastDelay')?.test?.p).toBeGreaterThan(1e-4)
    }
  })
})

it('counts the entities of each view where there is no baseline, too', () => {
  const recorder = new RowRecorder(recorded, null)
  const read = { values: [1, 1], statuses, eventTime: 0 }
  for (const { keys } of draw(createRandom(4), 12, 400)) recorder.take({ keys, request: [] }, service.evaluate([read, read], [], 0), [0])
  const columns = ColumnsSummary.decode(recorder.summary().encode())?.binnedColumns()
  expect(columns?.get('destination__lastDelay')).toEqual({ entities: 12, bins: [] })
  for (const column of ['lastDelay', 'output:out']) expect(columns?.get(column)?.entities).toBeGreaterThan(300)
})

it('keeps which rows of a training set share an entity, for each key', () => {
  const rows = readCompressedRows(service.features, trainingProfile(draw(createRandom(3), 12, 4000)).sample)
  const distinct = [0, 1].map((key) => new Set(rows.map(({ entities }) => entities[key])).size)
  expect(distinct[0]).toBeGreaterThan(1500)
  expect(distinct[1]).toBe(12)
  // rows of the format before
  const [row] = readCompressedRows(service.features.slice(0, 1), gzipSync(JSON.stringify([[7, 1.5]])))
  expect(row).toEqual({ entities: ['7'], values: [1.5] })
})
