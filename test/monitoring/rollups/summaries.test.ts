import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteWriter } from '../../../kernel/values/binary.ts'
import { ExactSquares } from '../../../kernel/states/exact-squares.ts'
import { ExactSum } from '../../../kernel/states/exact-sum.ts'
import { layoutOf, noBins } from '../../../monitoring/rollups/bin-layout.ts'
import { BinnedRows } from '../../../monitoring/rollups/binned-rows.ts'
import { CategorySample } from '../../../monitoring/rollups/category-sample.ts'
import { ColumnsSummary } from '../../../monitoring/rollups/columns-summary.ts'
import { ColumnSummary } from '../../../monitoring/rollups/column-summary.ts'
import { ExactMoments } from '../../../monitoring/rollups/exact-moments.ts'
import { LatencyHistogram } from '../../../monitoring/rollups/latency-histogram.ts'
import { SumByExponent } from '../../../monitoring/rollups/sum-by-exponent.ts'
import { ageQuantile, TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { addEntity, createEntitySums } from '../../../statistics/clustered-shares.ts'
import { createRandom } from '../../../statistics/random.ts'
import { budget } from '../../budget.ts'

const finite = fc.double({ noNaN: true, noDefaultInfinity: true })

test('the sum by exponent is the exact sum of any doubles', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(finite, fc.integer(), fc.constantFrom(5e-324, 1e308, -1e308, 2 ** -901, 2 ** 900))), (numbers) => {
      const digits = new SumByExponent()
      const exact = new ExactSum()
      for (const x of numbers) {
        digits.add(x)
        exact.add(x)
      }
      expect(bytesOf(digits.take())).toEqual(bytesOf(exact))
      expect(digits.take().value()).toBe(0)
    }),
    { numRuns: budget(2000) },
  )
})

test('moments have the canonical bytes of exact sums and squares', () => {
  fc.assert(
    fc.property(fc.array(finite, { minLength: 1 }), (numbers) => {
      const moments = new ExactMoments()
      const [sum, squares, writer] = [new ExactSum(), new ExactSquares(), new ByteWriter()]
      for (const x of numbers) {
        moments.add(x)
        sum.add(x)
        squares.add(x)
      }
      writer.uint(numbers.length)
      writer.float64(Math.min(...numbers))
      writer.float64(Math.max(...numbers))
      sum.encode(writer)
      squares.encode(writer)
      expect(bytesOf(moments)).toEqual(writer.bytes())
      expect(moments.figures()?.mean).toBe(sum.mean(numbers.length))
    }),
    { numRuns: budget(1000) },
  )
})

test('the deviation of numbers far from zero is exact', () => {
  const moments = new ExactMoments()
  for (const x of [1e15 + 1, 1e15 + 2, 1e15 + 3]) moments.add(x)
  expect(moments.figures()).toEqual({ mean: 1e15 + 2, deviation: 1, least: 1e15 + 1, greatest: 1e15 + 3 })
})

test('a quantile of times is within 5 % of the true one', () => {
  const random = createRandom(1)
  const histogram = new LatencyHistogram()
  const times = Array.from({ length: 5000 }, () => 10 ** (random.next() * 8 - 3))
  for (const ms of times) histogram.observe(ms)
  times.sort((a, b) => a - b)
  for (const q of [0.001, 0.1, 0.5, 0.9, 0.99, 1]) {
    const truth = times[Math.ceil(q * times.length) - 1] ?? Number.NaN
    expect(Math.abs((histogram.quantile(q) ?? 0) / truth - 1)).toBeLessThanOrEqual(0.05)
  }
  expect(histogram.mean()).toBeCloseTo(times.reduce((sum, ms) => sum + ms, 0) / times.length, 0)
})

test('times below a microsecond and above two minutes are counted at the ends', () => {
  const histogram = new LatencyHistogram()
  for (const ms of [0, -1, 0.0001, 1e9]) histogram.observe(ms)
  expect(histogram.count).toBe(4)
  expect(histogram.quantile(0.5)).toBe(0.001)
  expect(histogram.quantile(1)).toBeGreaterThan(100_000)
})

test('categories with the smallest hashes are kept with exact counts', () => {
  const sample = new CategorySample()
  for (let i = 0; i < 3000; i++) sample.add(`value ${i % 1000}`)
  expect(sample.complete).toBe(false)
  const kept = sample.top(1000)
  expect(kept).toHaveLength(256)
  expect(kept.every(({ count }) => count === 3)).toBe(true)
})

interface Row {
  readonly entity: number
  /** Seconds; decides which bins the row is counted by. */
  readonly at: number
  readonly number: number | null
  readonly text: string | null
  readonly status: number
}

const rows = fc.array(
  fc.record({
    entity: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 100_000 })),
    at: fc.integer({ min: 0, max: 1 }),
    number: fc.option(fc.oneof(fc.double(), fc.integer({ min: -2, max: 2 }))),
    text: fc.option(fc.oneof(fc.constantFrom('a', 'b', '', '\ud800', '\udc00', `${'x'.repeat(99)}😀`), fc.string({ unit: 'binary' }))),
    status: fc.integer({ min: 0, max: 5 }),
  }),
  { maxLength: 60 },
)
/** By key. At another time, the bins and the key of a column are others, and one has no bins. */
const layouts = [
  new Map([
    ['entity', layoutOf([{ column: 'number', binsId: 'old', bins: 3 }])],
    ['group', layoutOf([{ column: 'text', binsId: 'of text', bins: 2 }])],
  ]),
  new Map([
    [
      'group',
      layoutOf([
        { column: 'number', binsId: 'new', bins: 5 },
        { column: 'text', binsId: '', bins: 0 },
      ]),
    ],
  ]),
] as const

/** As one process would that knows no other. */
function summaryOf(part: readonly Row[], keys: (typeof layouts)[number]): ColumnsSummary {
  const [number, text] = [new ColumnSummary(), new ColumnSummary()]
  const summary = new ColumnsSummary(
    new Map([
      ['number', number],
      ['text', text],
    ]),
    new Map(Array.from(keys, ([key, layout]) => [key, new BinnedRows(layout)])),
  )
  for (const row of part) {
    for (const column of [number, text]) column.statuses[row.status] = (column.statuses[row.status] ?? 0) + 1
    if (row.number === null) number.addNull()
    else number.addNumber(row.number)
    if (row.text === null) text.addNull()
    else text.addText(row.text)
    for (const [key, layout] of keys) {
      const binned = layout.columns.filter(({ bins }) => bins > 0)
      summary.addBins(
        key,
        hashOf(entityOf(row, key)),
        Int32Array.from(binned, ({ column, from, bins }) => from + binOf(row, column, bins)),
      )
    }
  }
  return summary
}

function entityOf({ entity }: Row, key: string): number {
  return key === 'group' ? entity % 7 : entity
}

function binOf(row: Row, column: string, bins: number): number {
  return column === 'text' ? (row.text === null ? 0 : 1) : row.number === null ? 0 : 1 + (Math.abs(row.status + row.entity) % (bins - 1))
}

/** Spread over 53 bits, without two of the same hash. */
function hashOf(entity: number): number {
  return ((entity * 0x9e3779b1) % 100_003) * 2 ** 30 + entity
}

test('any split of rows over processes and minutes merges to the same bytes', () => {
  fc.assert(
    fc.property(rows, fc.array(fc.nat(4)), fc.array(fc.nat(1000)), (all, owners, order) => {
      const of = (part: readonly Row[]) =>
        layouts.map((layout, at) =>
          summaryOf(
            part.filter((row) => row.at === at),
            layout,
          ),
        )
      const merged = mergeAll(of(all))
      const parts = [0, 1, 2, 3, 4].flatMap((owner) => of(all.filter((_, i) => (owners[i] ?? 0) === owner)))
      const shuffled = parts.map((part, i) => [order[i] ?? 0, part] as const).sort(([a], [b]) => a - b)
      expect(mergeAll(shuffled.map(([, part]) => decoded(part))).encode()).toEqual(merged.encode())
      // as a tree: first by two
      const pairs = shuffled.flatMap(([, part], i) =>
        i % 2 === 0 ? [mergeAll([part, ...(shuffled[i + 1]?.slice(1) ?? [])] as ColumnsSummary[])] : [],
      )
      expect(mergeAll(pairs.map(decoded)).encode()).toEqual(merged.encode())
      // one column is read past all others, and its bytes may end where the bins begin
      const bytes = merged.encode()
      // without bins, a summary ends with the number of its keys
      const bins = bytes.length - new ColumnsSummary(merged.columns).encode().length + 1
      for (const [name, column] of merged.columns) {
        const some = ColumnsSummary.someOf(bytes.subarray(0, bytes.length - bins), (each) => each === name)
        expect([...(some ?? [])].map(([each, own]) => [each, bytesOf(own)])).toEqual([[name, bytesOf(column)]])
      }
      expect(ColumnsSummary.hasSummaries(bytes.subarray(0, bytes.length - bins))).toBe(true)
      expect(ColumnsSummary.hasSummaries(bytes.subarray(0, bytes.length - bins - 1))).toBe(merged.columns.size === 0)
    }),
    { numRuns: budget(1000) },
  )
})

test('many entities and categories merge to the same bytes in any split', () => {
  const random = createRandom(2)
  const all = Array.from({ length: 20_000 }, (): Row => {
    const entity = Math.floor(random.next() ** 3 * 5000)
    return { entity, at: 0, number: random.next(), text: `category ${Math.floor(random.next() ** 2 * 2000)}`, status: 0 }
  })
  const one = summaryOf(all, layouts[0])
  const parts = [0, 1, 2].map((owner) =>
    summaryOf(
      all.filter((_, i) => i % 3 === owner),
      layouts[0],
    ),
  )
  expect(mergeAll(parts.toReversed().map(decoded)).encode()).toEqual(one.encode())
  const [binned] = one.binnedColumns().get('number')?.bins ?? []
  // the naive way: all rows of the entities with the smallest hashes
  const entities = [...new Set(all.map(({ entity }) => hashOf(entity)))].sort((a, b) => a - b).slice(0, 512)
  const sums = createEntitySums(3)
  for (const kept of entities)
    addEntity(
      sums,
      all.flatMap((row) => (hashOf(row.entity) === kept ? [binOf(row, 'number', 3)] : [])),
    )
  expect(binned?.sums).toEqual(sums)
  expect(binned?.counts.reduce((sum, count) => sum + count, 0)).toBe(all.length)
  // of the column with the other key, all rows of its seven entities
  const { entities: groups, bins } = one.binnedColumns().get('text') ?? { entities: 0, bins: [] }
  expect([groups, bins[0]?.sums.entities, bins[0]?.sums.counts.reduce((sum, count) => sum + count, 0)]).toEqual([7, 7, all.length])
})

test('the number of distinct entities is estimated from the sample', () => {
  const binned = new BinnedRows(noBins)
  const random = createRandom(3)
  for (let i = 0; i < 100_000; i++) binned.add(Math.floor(random.next() * 2 ** 53), new Int32Array(0))
  expect(Math.abs(binned.distinctEntities() / 100_000 - 1)).toBeLessThan(0.15)
})

test('traffic merges to the same bytes in any order', () => {
  const requests = fc.array(
    fc.record({
      ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
      rows: fc.nat(5),
      code: fc.option(fc.constantFrom('A', 'B')),
      view: fc.option(fc.constantFrom('a@1', 'b@1')),
    }),
  )
  fc.assert(
    fc.property(requests, fc.nat(7), (all, cut) => {
      const of = (part: typeof all) => {
        const traffic = new TrafficSummary()
        for (const { ms, rows: count, code, view } of part) {
          traffic.requests++
          if (code !== null) traffic.addError(code)
          else traffic.rows += count
          traffic.latency.total.observe(ms)
          if (view !== null) traffic.addAge(view, ms)
        }
        return traffic
      }
      const [first, second] = [of(all.slice(cut)), of(all.slice(0, cut))].map((part) => TrafficSummary.decode(part.encode()))
      first?.merge(second ?? new TrafficSummary())
      expect(first?.encode()).toEqual(of(all).encode())
    }),
    { numRuns: budget(500) },
  )
})

test('ages are within 5 % from a tenth of a second to 155 days', () => {
  const traffic = new TrafficSummary()
  const ages = [0.2, 1, 90, 86_400, 13e6]
  for (const seconds of ages) traffic.addAge('seen@1', seconds)
  const read = TrafficSummary.decode(traffic.encode())?.ages.get('seen@1')
  for (const [i, seconds] of ages.entries())
    expect(Math.abs(ageQuantile(read ?? new LatencyHistogram(), (i + 1) / ages.length) / seconds - 1)).toBeLessThan(0.051)
})

test('an erased entity leaves the samples of all keys, and no other does', () => {
  const all = Array.from({ length: 100 }, (_, entity): Row => ({ entity, at: 0, number: 1, text: null, status: 0 }))
  const summary = summaryOf(all, layouts[0])
  const entitiesOf = (column: string) => summary.binnedColumns().get(column)?.bins[0]?.sums.entities
  expect(summary.forget({ entity: hashOf(3), text: null })).toBe(true)
  expect([entitiesOf('number'), entitiesOf('text')]).toEqual([99, 6])
  expect(summary.forget({ entity: hashOf(3), text: null })).toBe(false)
  expect(summary.forget({ entity: hashOf(50), text: null })).toBe(true)
  expect([entitiesOf('number'), entitiesOf('text')]).toEqual([98, 6])
  expect(decoded(summary).encode()).toEqual(summary.encode())
})

test('a column whose key and bins changed has the bins with more rows first, and the fewer entities', () => {
  const of = (count: number, at: 0 | 1) =>
    summaryOf(
      Array.from({ length: count }, (_, entity): Row => ({ entity, at, number: 1, text: null, status: 0 })),
      layouts[at],
    )
  const found = [mergeAll([of(100, 0), of(50, 1)]), mergeAll([of(50, 0), of(100, 1)])].map((each) => each.binnedColumns().get('number'))
  expect(found.map((each) => [each?.entities, each?.bins.map(({ binsId }) => binsId)])).toEqual([
    [7, ['old', 'new']],
    [7, ['new', 'old']],
  ])
})

test('bytes of another format are left alone', () => {
  expect(ColumnsSummary.decode(Buffer.from([99]))).toBeNull()
  expect(ColumnsSummary.decode(Buffer.from([1, 0, 0, 0, 1, 0]))).toBeNull()
  expect(TrafficSummary.decode(Buffer.from([99]))).toBeNull()
})

function mergeAll(parts: readonly ColumnsSummary[]): ColumnsSummary {
  const all = new ColumnsSummary()
  for (const part of parts) all.merge(part)
  return all
}

function decoded(summary: ColumnsSummary): ColumnsSummary {
  return ColumnsSummary.decode(summary.encode()) ?? new ColumnsSummary()
}

function bytesOf(value: { encode(writer: ByteWriter): void }): Buffer {
  const writer = new ByteWriter()
  value.encode(writer)
  return writer.bytes()
}
