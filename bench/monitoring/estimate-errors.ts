import { auc } from '../../statistics/auc.ts'
import { estimatePerformance, fitCalibrator } from '../../statistics/performance-estimate.ts'
import { createRandom } from '../../statistics/random.ts'

export interface EstimateError {
  /** By how many standard deviations the feature has moved since the reference. */
  readonly shift: number
  /** Estimated minus true, in shares. */
  readonly accuracy: number
  readonly auc: number
}

/**
 * The errors of quality without labels (CBPE) under covariate shift: an overconfident model, calibrated on a reference
 * of `rows` labelled rows, over windows of as many rows whose feature has moved.
 */
export function estimateErrors(rows: number): EstimateError[] {
  const random = createRandom(17)
  const expit = (x: number): number => 1 / (1 + Math.exp(-x))
  const draw = (shift: number) =>
    Array.from({ length: rows }, () => {
      const x = random.normal() + shift
      return { score: expit(2.2 * x), label: random.next() < expit(1.4 * x) }
    })
  const reference = draw(0)
  const calibrate = fitCalibrator(
    reference.map(({ score }) => score),
    reference.map(({ label }) => label),
  )
  return [-1, -0.5, 0, 0.5, 1, 1.5].map((shift) => {
    const window = draw(shift)
    const [scores, labels] = [window.map(({ score }) => score), window.map(({ label }) => label)]
    const estimate = estimatePerformance(scores, scores.map(calibrate), 0.5)
    const right = window.filter(({ score, label }) => score >= 0.5 === label).length / rows
    return { shift, accuracy: estimate.accuracy - right, auc: estimate.auc - auc(scores, labels).value }
  })
}
