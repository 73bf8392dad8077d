import fc from 'fast-check'
import type { FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { RawRow } from '../kernel/view-oracle.ts'
import { everyMinutes, featuresArbitrary, hour, minute, origins, rowsArbitrary, timeArbitrary, viewSpec } from '../kernel/view-oracle.ts'

/** The keys of a view's entities: one text, a text and a whole number, or none. */
export type KeyShape = 'one' | 'two' | 'none'

/** The change that a view's transform makes to each row, before its features see it. */
export type Transform = 'none' | 'drops negative' | 'swaps sign'

export interface WorldView {
  readonly spec: ViewSpec
  readonly keys: KeyShape
  readonly transform: Transform
}

export interface WorldRow extends RawRow {
  readonly thing: string | null
  readonly part: number | null
}

export interface Question {
  readonly thing: string
  readonly part: number
  readonly moment: number
}

/** Which rule a training set asks for. */
export interface Rule {
  readonly asOf: 'at' | 'before'
  readonly knowledge: 'bitemporal' | 'latest'
  readonly freshness: 'served' | 'ideal'
}

/** Definitions, rows in batches as they arrive, the moment of the run after each batch, and the questions then. */
export interface World {
  readonly views: readonly WorldView[]
  readonly batches: readonly { readonly rows: readonly WorldRow[]; readonly moment: number }[]
  readonly questions: readonly Question[]
  readonly rule: Rule
}

/** Three texts that have rows, in an order that differs between English and bytes, and one that has none. */
const things = ['a', 'é', 'B', 'none']
const parts = [0, -7]

const availability = fc.oneof(
  fc.constant({ kind: 'continuous' } as const),
  fc
    .tuple(fc.constantFrom(5, 30), fc.constantFrom(0, minute, 20 * minute))
    .map(([n, delay]) => everyMinutes(n, Math.min(delay, n * minute))),
)

const viewArbitrary = fc.record({
  features: featuresArbitrary,
  availability,
  keys: fc.constantFrom<KeyShape>('one', 'one', 'two', 'none'),
  transform: fc.constantFrom<Transform>('none', 'none', 'drops negative', 'swaps sign'),
})

/**
 * A generated world of one source and several views over it.
 *
 * @param id part of all its names, so that worlds can follow each other in one database
 */
export function worldArbitrary(id: string): fc.Arbitrary<World> {
  return fc.constantFrom(...origins).chain((origin) =>
    fc
      .record({
        views: fc.array(viewArbitrary, { minLength: 12, maxLength: 16 }),
        rows: rowsArbitrary(origin, 60).chain((rows) =>
          fc.tuple(
            ...rows.map((row) =>
              fc.record({
                row: fc.constant(row),
                thing: fc.constantFrom('a', 'a', 'a', 'é', 'B', null),
                part: fc.constantFrom(0, 0, -7, null),
                at: fc.nat(),
              }),
            ),
          ),
        ),
        cuts: fc.array(fc.nat(60), { minLength: 2, maxLength: 2 }),
        last: timeArbitrary(origin, 18),
        rule: fc.record({
          asOf: fc.constantFrom<Rule['asOf']>('at', 'at', 'before'),
          knowledge: fc.constantFrom<Rule['knowledge']>('bitemporal', 'bitemporal', 'latest'),
          freshness: fc.constantFrom<Rule['freshness']>('served', 'served', 'ideal'),
        }),
      })
      .map(({ views, rows, cuts, last, rule }) => {
        const arriving = [...rows]
          .sort((a, b) => a.at - b.at)
          .map(({ row, thing, part }, i): WorldRow => ({ ...row, thing, part, tie: i + 1 }))
        const ends = [...cuts.toSorted((a, b) => a - b), arriving.length]
        return {
          // one view has the whole key, so that the types of all its columns are known
          views: views.map((view, i) => ({
            ...view,
            keys: i === 0 ? 'two' : view.keys,
            spec: namedSpec(`w${id}_${i}`, view.features, view),
          })),
          batches: ends.map((end, i) => ({
            rows: arriving.slice(i === 0 ? 0 : ends[i - 1], end),
            moment: last - (2 - i) * 3 * hour,
          })),
          questions: [last, last + 7 * minute, last - 90 * minute, last + 13 * hour].flatMap((moment) =>
            things.flatMap((thing) => parts.map((part) => ({ thing, part, moment }))),
          ),
          rule,
        }
      }),
  )
}

function namedSpec(name: string, features: readonly FeatureSpec[], view: { readonly availability: ViewSpec['availability'] }): ViewSpec {
  return viewSpec(name, features, view.availability)
}
