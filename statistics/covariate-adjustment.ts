/** Sums of one arm over its units, for a metric and its covariates: they merge by addition. */
export interface ArmSums {
  readonly n: number
  readonly meanY: number
  readonly meanX: readonly number[]
  /** Σ (y - ȳ)². */
  readonly squaresY: number
  /** Σ (x - x̄)(y - ȳ), by covariate. */
  readonly crossXY: readonly number[]
  /** Σ (x - x̄)(x - x̄)ᵀ, row by row. */
  readonly crossXX: readonly number[]
}

export interface AdjustedArm {
  readonly n: number
  readonly mean: number
  /** Of one unit, divided by n - 1. */
  readonly variance: number
}

/**
 * CUPED: takes out of a metric what covariates known before exposure explain, with one θ for all arms, so that the
 * difference of means keeps its expectation and loses variance. Covariates that explain nothing new (constant, or a
 * combination of others) are left out. Source: Deng, Xu, Kohavi and Walker, WSDM 2013; several covariates by least
 * squares.
 *
 * @returns the arms in order, each with its adjusted mean and variance, and θ by covariate
 */
export function adjustForCovariates(arms: readonly ArmSums[]): {
  readonly theta: readonly number[]
  readonly arms: readonly AdjustedArm[]
} {
  const width = arms[0]?.meanX.length ?? 0
  const total = (part: (arm: ArmSums) => number): number => arms.reduce((sum, arm) => sum + part(arm), 0)
  const n = total((arm) => arm.n)
  // means differ between arms by treatment in y and by chance in x: θ is of the deviations within arms
  const crossXX = Array.from({ length: width * width }, (_, i) => total((arm) => arm.crossXX[i] as number))
  const crossXY = Array.from({ length: width }, (_, k) => total((arm) => arm.crossXY[k] as number))
  const theta = solve(crossXX, crossXY)
  const overall = Array.from({ length: width }, (_, k) => total((arm) => arm.n * (arm.meanX[k] as number)) / n)
  return {
    theta,
    arms: arms.map((arm) => {
      let mean = arm.meanY
      let squares = arm.squaresY
      for (const [k, weight] of theta.entries()) {
        mean -= weight * ((arm.meanX[k] as number) - (overall[k] as number))
        squares -= 2 * weight * (arm.crossXY[k] as number)
        for (const [l, other] of theta.entries()) squares += weight * other * (arm.crossXX[k * width + l] as number)
      }
      return { n: arm.n, mean, variance: Math.max(0, squares) / (arm.n - 1) }
    }),
  }
}

/** Solves a symmetric positive semidefinite system by Cholesky's method; directions without variance get 0. */
function solve(matrix: readonly number[], right: readonly number[]): number[] {
  const width = right.length
  const lower = new Float64Array(width * width)
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * width + j] as number
      for (let k = 0; k < j; k++) sum -= (lower[i * width + k] as number) * (lower[j * width + k] as number)
      if (i === j) lower[i * width + i] = sum > 1e-10 * (matrix[i * width + i] as number) ? Math.sqrt(sum) : 0
      else lower[i * width + j] = lower[j * width + j] === 0 ? 0 : sum / (lower[j * width + j] as number)
    }
  }
  const forward = new Float64Array(width)
  for (let i = 0; i < width; i++) {
    let sum = right[i] as number
    for (let k = 0; k < i; k++) sum -= (lower[i * width + k] as number) * (forward[k] as number)
    forward[i] = lower[i * width + i] === 0 ? 0 : sum / (lower[i * width + i] as number)
  }
  const result = new Float64Array(width)
  for (let i = width - 1; i >= 0; i--) {
    let sum = forward[i] as number
    for (let k = i + 1; k < width; k++) sum -= (lower[k * width + i] as number) * (result[k] as number)
    result[i] = lower[i * width + i] === 0 ? 0 : sum / (lower[i * width + i] as number)
  }
  return [...result]
}
