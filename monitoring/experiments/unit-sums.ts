import type { ArmSums } from '../../statistics/covariate-adjustment.ts'

/** The sums of one variant's units for one metric, as plain JSON: analyses are repeated from them. */
export interface UnitSums {
  readonly n: number
  /** The means of the numerator, the denominator, then the covariates. */
  readonly mean: readonly number[]
  /** The sums of products of deviations: a matrix, row by row. */
  readonly cross: readonly number[]
  /** Sums of the third powers of deviations of numerator and denominator: aaa, aab, abb, bbb. */
  readonly third: readonly number[]
  /** Sums of the third power of each variable's deviations. */
  readonly cubes: readonly number[]
  /** How many units have a value other than 0. */
  readonly nonZero: number
}

export interface UnitSummer {
  /** @param values numerator, denominator (1 for metrics without one), covariates */
  add(values: ArrayLike<number>): void
  sums(): UnitSums
}

/**
 * Sums units in one pass. Source of the update: Welford, Technometrics 4 (1962), for several variables; of the third
 * powers: Pébay, Sandia report SAND2008-6212.
 */
export function createUnitSummer(width: number): UnitSummer {
  let n = 0
  let nonZero = 0
  const mean = new Float64Array(width)
  const before = new Float64Array(width)
  const cross = new Float64Array(width * width)
  const cubes = new Float64Array(width)
  /** Powers of distances from the first unit: a, b, aa, ab, bb, aaa, aab, abb, bbb. */
  const powers = new Float64Array(9)
  let [firstA, firstB] = [0, 0]
  return {
    add(values) {
      n++
      if (values[0] !== 0) nonZero++
      for (let i = 0; i < width; i++) {
        const distance = (values[i] as number) - (mean[i] as number)
        const squares = cross[i * width + i] as number
        cubes[i] = (cubes[i] as number) + (distance ** 3 * (n - 1) * (n - 2)) / (n * n) - (3 * distance * squares) / n
        before[i] = distance
        mean[i] = (mean[i] as number) + distance / n
      }
      for (let i = 0; i < width; i++) {
        const after = (values[i] as number) - (mean[i] as number)
        for (let j = 0; j <= i; j++) cross[i * width + j] = (cross[i * width + j] as number) + after * (before[j] as number)
      }
      if (n === 1) [firstA, firstB] = [values[0] as number, values[1] as number]
      const a = (values[0] as number) - firstA
      const b = (values[1] as number) - firstB
      const each = [a, b, a * a, a * b, b * b, a * a * a, a * a * b, a * b * b, b * b * b]
      for (let k = 0; k < each.length; k++) powers[k] = (powers[k] as number) + (each[k] as number)
    },
    sums() {
      for (let i = 0; i < width; i++) for (let j = i + 1; j < width; j++) cross[i * width + j] = cross[j * width + i] as number
      return { n, mean: [...mean], cross: [...cross], third: n === 0 ? [0, 0, 0, 0] : centralThird(powers, n), cubes: [...cubes], nonZero }
    },
  }
}

function centralThird(powers: Float64Array, n: number): number[] {
  const mean = (i: number): number => (powers[i] as number) / n
  const [a, b, aa, ab, bb] = [mean(0), mean(1), mean(2), mean(3), mean(4)]
  const [aaa, aab, abb, bbb] = [mean(5), mean(6), mean(7), mean(8)]
  return [
    n * (aaa - 3 * a * aa + 2 * a ** 3),
    n * (aab - 2 * a * ab - b * aa + 2 * a * a * b),
    n * (abb - 2 * b * ab - a * bb + 2 * a * b * b),
    n * (bbb - 3 * b * bb + 2 * b ** 3),
  ]
}

/**
 * The sums of a variant as those of a mean. A ratio is linearized around its own value: `R + (a - R b) / b̄` has the
 * ratio as its mean and, by the delta method, its variance. Source: Deng, Knoblich and Lu, KDD 2018.
 */
export function linearized({ n, mean, cross, third }: UnitSums, isRatio: boolean): { readonly sums: ArmSums; readonly thirdY: number } {
  const width = mean.length
  const at = (i: number, j: number): number => cross[i * width + j] as number
  const covariates = Array.from({ length: width - 2 }, (_, k) => k + 2)
  const [a, b] = [mean[0] as number, mean[1] as number]
  const ratio = isRatio ? a / b : 0
  const scale = isRatio ? b : 1
  const [aaa, aab, abb, bbb] = third as [number, number, number, number]
  return {
    sums: {
      n,
      meanY: isRatio ? ratio : a,
      meanX: covariates.map((k) => mean[k] as number),
      squaresY: Math.max(0, at(0, 0) - 2 * ratio * at(0, 1) + ratio * ratio * at(1, 1)) / scale ** 2,
      crossXY: covariates.map((k) => (at(k, 0) - ratio * at(k, 1)) / scale),
      crossXX: covariates.flatMap((k) => covariates.map((l) => at(k, l))),
    },
    thirdY: (aaa - 3 * ratio * aab + 3 * ratio * ratio * abb - ratio ** 3 * bbb) / scale ** 3,
  }
}
