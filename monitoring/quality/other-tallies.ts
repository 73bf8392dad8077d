import { createEntityTally } from './entity-tally.ts'
import type { Figure } from './figure.ts'
import { minRows, notNegative, tooFewRows } from './figure.ts'
import type { GroupTally } from './group-tally.ts'

/** For outcomes that are numbers: errors are output - outcome. */
export function createNumberTally(withSpread: boolean): GroupTally {
  const [error, absolute, squared] = [0, 1, 2]
  const sums = createEntityTally(3, withSpread)
  const values = new Float64Array(3)
  return {
    add({ entity, score, outcome }) {
      const difference = Number(score) - Number(outcome)
      values[error] = difference
      values[absolute] = Math.abs(difference)
      values[squared] = difference * difference
      sums.add(entity, values)
    },
    get rows() {
      return sums.rows
    },
    entities: sums.entities,
    finish: async () => ({
      figures:
        sums.rows < minRows
          ? tooFewRows(['rmse', 'mae', 'bias'], sums.rows)
          : { rmse: rootOf(sums.mean(squared)), mae: notNegative(sums.mean(absolute)), bias: sums.mean(error) },
      calibration: null,
    }),
  }
}

/** For outcomes that are classes. */
export function createCategoryTally(withSpread: boolean): GroupTally {
  const sums = createEntityTally(2, withSpread)
  const values = new Float64Array([0, 1])
  return {
    add({ entity, score, outcome }) {
      values[0] = score === outcome ? 1 : 0
      sums.add(entity, values)
    },
    get rows() {
      return sums.rows
    },
    entities: sums.entities,
    finish: async () => ({
      figures: sums.rows < minRows ? tooFewRows(['accuracy'], sums.rows) : { accuracy: sums.share(0, 1) },
      calibration: null,
    }),
  }
}

function rootOf(figure: Figure): Figure {
  const root = (value: number | null): number | null => (value === null ? null : Math.sqrt(Math.max(0, value)))
  return { ...figure, value: root(figure.value), low: root(figure.low), high: root(figure.high) }
}
