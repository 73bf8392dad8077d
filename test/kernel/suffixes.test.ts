import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Accumulator, Aggregate } from '../../kernel/aggregates/aggregate.ts'
import { count } from '../../kernel/aggregates/count.ts'
import { firstLastN } from '../../kernel/aggregates/first-last-n.ts'
import { extreme } from '../../kernel/aggregates/extreme.ts'
import { ByteWriter } from '../../kernel/values/binary.ts'
import type { FoldRow } from '../../kernel/states/state.ts'
import { SuffixAggregates } from '../../kernel/states/suffix-aggregates.ts'
import { Tiles } from '../../kernel/states/tiles.ts'
import { floorTo } from '../../kernel/values/time.ts'
import { budget } from '../budget.ts'

const float64 = { kind: 'float64' } as const
const lanes: readonly Aggregate[] = [count(null), extreme('min', 0, float64), firstLastN('firstN', 3, 0, float64)]
const coarse = 10
/** Where the fine tiles begin, as far back as the window does, and where the rows end. */
const [start, cutoff, end] = [-500, 300, 800]

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('late' as const), back: fc.nat(end - start), value: fc.integer({ min: -999, max: 999 }) }),
    fc.record({ kind: fc.constant('next' as const), by: fc.integer({ min: 1, max: 30 }), value: fc.integer({ min: -999, max: 999 }) }),
    fc.record({ kind: fc.constant('move' as const), by: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant('coarsen' as const) }),
  ),
  { minLength: 60, maxLength: 200 },
)

function bytes(accumulator: Accumulator): Buffer {
  const writer = new ByteWriter()
  accumulator.encode(writer)
  return writer.bytes()
}

describe.each(lanes)('the rebuilt windows of the lane $lane', (lane) => {
  it('equals the rows since its start, with late rows and any coarse tiles', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const [fine, old] = [new Tiles(), new Tiles()]
        const suffixes = new SuffixAggregates(lane, 0, [fine, old], coarse)
        const rows: FoldRow[] = []
        let [from, border, now] = [start, cutoff, end]
        const add = (eventTime: number, value: number): void => {
          const row = { eventTime, knownTime: eventTime, visibleAt: eventTime, tie: rows.length, values: [value] }
          rows.push(row)
          const tiles = eventTime < border ? old.at(floorTo(eventTime, coarse), make) : fine.at(eventTime, make)
          tiles.lanes[0]?.add(row)
          if (eventTime >= from) suffixes.add(row)
        }
        const make = () => [lane.create()]
        for (let time = start; time < end; time++) add(time, time)
        for (const step of list) {
          if (step.kind === 'late') add(Math.max(from, now - step.back), step.value)
          else if (step.kind === 'next') add((now += step.by), step.value)
          else if (step.kind === 'move') from += step.by * coarse
          else {
            border += coarse
            for (const tile of fine.takeBefore(border)) {
              old.at(floorTo(tile.start, coarse), make).lanes[0]?.merge(tile.lanes[0] as Accumulator)
            }
          }
          const expected = lane.create()
          for (const row of rows) if (row.eventTime >= from) expected.add(row)
          expect(bytes(suffixes.since(from))).toEqual(bytes(expected))
        }
      }),
      { numRuns: budget(60) },
    )
  })
})
