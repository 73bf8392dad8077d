import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import { defaultHop } from '../../kernel/states/hop.ts'
import { aggregateResultType } from '../../kernel/result-type.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import { decodeStored, encodeStored } from '../../kernel/states/stored-state.ts'
import type { AggregateName, FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { hour, minute, origins, viewSpec } from './view-oracle.ts'

const names: readonly AggregateName[] = [
  'count',
  'min',
  'max',
  'first',
  'last',
  'firstN',
  'lastN',
  'lastDistinctN',
  'distinctCount',
  'quantile',
  'histogram',
]
/** With their hops; the last one has hundreds of tiles. */
const windows = [
  ...[10 * minute, 3 * hour, 168 * hour, 720 * hour].map((length) => [length, defaultHop(length)] as const),
  [24 * hour, minute] as const,
]
const features = windows.flatMap(([windowMicros, hopMicros]) =>
  names.flatMap((aggregate) =>
    [false, true].map((some): FeatureSpec => {
      const column = { name: 'i', type: { kind: 'int32' } } as const
      return {
        kind: 'window',
        name: `${aggregate}_${windowMicros / minute}_${hopMicros}${some ? '_some' : ''}`,
        type: aggregateResultType(aggregate, column.type) ?? column.type,
        aggregate,
        column: column.name,
        windowMicros,
        hopMicros,
        default: null,
        required: false,
        ...(aggregate === 'quantile' ? { quantile: 0.5, error: 0.01 } : {}),
        ...(aggregate.endsWith('N') ? { n: 3 } : {}),
        ...(aggregate === 'histogram' ? { cap: 2000 } : {}),
        ...(some ? { where: 'ok' } : {}),
      }
    }),
  ),
)
const view = compileView({ spec: viewSpec('things', features, { kind: 'continuous' }), code: null, fingerprint: 'f' })

/** How the values go on: climbing, falling, all over the place, and the same few again. */
const courses: readonly ((i: number, draw: number) => number)[] = [(i) => i, (i) => 500 - i, (_, draw) => draw, (_, draw) => draw % 20]

describe('the windows of a long pass', () => {
  it('equal windows rebuilt from the stored bytes, with late rows and at any density', () => {
    const densities = fc.constantFrom(4 * minute, 4 * minute, 40 * minute, 3 * hour)
    fc.assert(
      fc.property(
        fc.constantFrom(...origins),
        fc.constantFrom(...courses),
        densities,
        fc.infiniteStream(fc.nat(999)),
        (origin, course, step, draws) => {
          const state = view.newState()
          const draw = (): number => draws.next().value as number
          let now = origin
          for (let i = 0; i < 700; i++) {
            now += Math.floor((step * draw()) / 500)
            const late = draw() % 4 === 0 ? draw() * step * (draw() % 10 === 0 ? 1 : 0.05) : 0
            const row = view.fold(now - Math.floor(late), now, i, [course(i, draw()), draw() % 3 > 0])
            if (row === null) throw new Error('Every row is visible.')
            state.add(row, now)
            if (draw() % 3 > 0) state.valueAt(now)
            if (i % 25 === 0) expect(state.valueAt(now)).toEqual(decodeStored(view, encodeStored(state, allBelow(1))).valueAt(now))
          }
        },
      ),
      { numRuns: 5 },
    )
  })
})
