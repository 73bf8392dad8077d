import { createEntityTally } from './entity-tally.ts'
import type { Figure } from './figure.ts'
import { minRows, noFigure } from './figure.ts'

/** A column of the outcome's source over the judged predictions: its mean for each of them, and its total. */
export interface BusinessFigure extends Figure {
  readonly total: number
  /** How many of the predictions have no row, and count as 0. */
  readonly assumed: number
}

/** Sums of the business figures of a group. */
export interface BusinessTally {
  /** @param amounts by index of the figure; null: it leaves the row out @param matched whether a row said them */
  add(entity: number, amounts: readonly (number | null)[], matched: boolean): void
  finish(): Readonly<Record<string, BusinessFigure>>
}

export function createBusinessTally(names: readonly string[], withSpread: boolean): BusinessTally {
  const tallies = names.map((name) => ({ name, sums: createEntityTally(1, withSpread), assumed: 0 }))
  const value = new Float64Array(1)
  return {
    add(entity, amounts, matched) {
      for (const [i, tally] of tallies.entries()) {
        const amount = amounts[i] ?? null
        if (amount === null) continue
        value[0] = amount
        tally.sums.add(entity, value)
        if (!matched) tally.assumed++
      }
    },
    finish: () =>
      Object.fromEntries(
        tallies.map(({ name, sums, assumed }) => {
          const n = sums.rows
          const few = `${n} judged ${n === 1 ? 'prediction has' : 'predictions have'} it, and ${minRows} are needed`
          const figure = n < minRows ? noFigure(few, n) : sums.mean(0)
          return [name, { ...figure, total: n === 0 ? 0 : sums.sum(0), assumed }]
        }),
      ),
  }
}
