/**
 * Fits a logistic regression by gradient descent, on columns that are scaled to mean 0 and deviation 1. A missing value
 * counts as the mean.
 *
 * @returns a function that scores other rows: higher means more likely true
 */
export function logisticRegression(
  rows: readonly (readonly (number | null)[])[],
  labels: readonly boolean[],
): (row: readonly (number | null)[]) => number {
  const width = rows[0]?.length ?? 0
  const scales = Array.from({ length: width }, (_, c) => scaleOf(rows.map((row) => row[c] ?? null)))
  const scaled = (row: readonly (number | null)[]) => Float64Array.from(scales, (scale, c) => scale(row[c] ?? null))
  const inputs = rows.map(scaled)
  const weights = new Float64Array(width)
  let bias = 0
  const score = (input: Float64Array): number => input.reduce((sum, value, c) => sum + value * (weights[c] ?? 0), bias)
  for (let step = 0; step < 80; step++) {
    const gradient = new Float64Array(width)
    let biasGradient = 0
    for (const [i, input] of inputs.entries()) {
      const error = 1 / (1 + Math.exp(-score(input))) - (labels[i] === true ? 1 : 0)
      biasGradient += error
      for (let c = 0; c < width; c++) gradient[c] = (gradient[c] ?? 0) + error * (input[c] ?? 0)
    }
    bias -= biasGradient / inputs.length
    for (let c = 0; c < width; c++) weights[c] = (weights[c] ?? 0) - (gradient[c] ?? 0) / inputs.length
  }
  return (row) => score(scaled(row))
}

function scaleOf(values: readonly (number | null)[]): (value: number | null) => number {
  const known = values.filter((value) => value !== null)
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length
  const deviation = Math.sqrt(known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / known.length)
  return (value) => (value === null || deviation === 0 ? 0 : (value - mean) / deviation)
}
