import { setImmediate as nextTurn } from 'node:timers/promises'
import { auc } from '../../statistics/auc.ts'
import { criticalValue } from '../../statistics/interval.ts'
import { estimatePerformance, fitCalibrator } from '../../statistics/performance-estimate.ts'
import { confusion } from '../../statistics/quality-scores.ts'
import { createRandom } from '../../statistics/random.ts'
import type { ConceptDrift, LabelledScores } from './concept-drift.ts'
import { conceptDrift } from './concept-drift.ts'
import type { Figure } from './figure.ts'
import { figureOf, noFigure } from './figure.ts'

/** Estimates the figures of predictions without a mature outcome. Assumes that scores mean the same as before. */
export interface QualityEstimate {
  /** Predictions without an outcome. */
  readonly n: number
  /** The labelled predictions from which it was learnt what a score means. */
  readonly labelled: number
  /** accuracy, precision, recall, f1, auc; null: see `reason`. */
  readonly figures: Readonly<Record<string, Figure>> | null
  /** False as soon as labels show that a score no longer means what it meant; null: there are too few of them. */
  readonly reliable: boolean | null
  /** Why there are no figures, or why they are not reliable. */
  readonly reason: string | null
  readonly check: ConceptDrift | null
}

/** Fewer labels do not calibrate scores. */
const minLabels = 200
/** Each simulates labels of all rows, and learns again from resampled ones. */
const simulations = 40
const figureNames = ['accuracy', 'precision', 'recall', 'f1', 'auc'] as const

/**
 * Confidence-based estimates (`statistics/performance-estimate.ts`) of one version, from scores that its own labels
 * calibrate. The interval is the estimate ± 1.96 standard deviations of the figure over simulated labels, and takes
 * rows for independent.
 */
export async function estimateUnlabelled(
  labelled: LabelledScores,
  unlabelled: readonly number[],
  n: number,
  threshold: number,
): Promise<QualityEstimate> {
  const { scores, labels } = labelled
  const none = { n, labelled: scores.length, figures: null, reliable: null, check: null }
  if (scores.length < minLabels)
    return { ...none, reason: `${scores.length} mature predictions have an outcome, and ${minLabels} are needed to calibrate scores` }
  if (!labels.includes(true) || !labels.includes(false)) return { ...none, reason: 'all outcomes are the same, and both kinds are needed' }
  const calibrate = fitCalibrator(scores, labels)
  const estimate = estimatePerformance(unlabelled, unlabelled.map(calibrate), threshold)
  const deviations = await simulatedDeviations(labelled, unlabelled, threshold)
  const half = (name: (typeof figureNames)[number]): number => criticalValue(0.05) * (deviations[name] ?? Number.NaN)
  const check = conceptDrift(labelled, threshold)
  const decides = unlabelled.some((score) => score >= threshold)
  return {
    n,
    labelled: scores.length,
    figures: Object.fromEntries(
      figureNames.map((name) => {
        const value = estimate[name]
        if (!decides && (name === 'precision' || name === 'f1'))
          return [name, noFigure(`no score reaches the threshold ${threshold}`, unlabelled.length)]
        const limits = { low: Math.max(0, value - half(name)), high: Math.min(1, value + half(name)) }
        return [name, figureOf({ value, ...limits, n }, unlabelled.length, 'rows')]
      }),
    ),
    check,
    reliable: check === null ? null : !check.drifted,
    reason: check === null ? 'there are too few labels to tell whether scores still mean what they meant' : driftText(check),
  }
}

function driftText({ drifted, effect, p, estimated, observed }: ConceptDrift): string | null {
  if (!drifted) return null
  const points = (share: number): string => `${(share * 100).toFixed(1)} %`
  return `the newest labels differ by ${points(effect)} from what earlier ones let expect (p ${p.toPrecision(2)}): accuracy ${points(observed)}, not ${points(estimated)}`
}

/** By figure: its standard deviation over simulated labels. */
async function simulatedDeviations(
  { scores, labels }: LabelledScores,
  unlabelled: readonly number[],
  threshold: number,
): Promise<Partial<Record<(typeof figureNames)[number], number>>> {
  const random = createRandom(unlabelled.length)
  const runs: Record<(typeof figureNames)[number], number>[] = []
  for (let run = 0; run < simulations; run++) {
    await nextTurn()
    const drawn = Array.from(scores, () => random.below(scores.length))
    const resampled = drawn.map((i) => labels[i] === true)
    const calibrate = fitCalibrator(
      drawn.map((i) => scores[i] as number),
      resampled,
    )
    const simulated = unlabelled.map((score) => random.next() < calibrate(score))
    const { truePositives: tp, falsePositives: fp, trueNegatives: tn, falseNegatives: fn } = confusion(unlabelled, simulated, threshold)
    runs.push({
      accuracy: (tp + tn) / unlabelled.length,
      precision: tp / (tp + fp),
      recall: tp / (tp + fn),
      f1: (2 * tp) / (2 * tp + fp + fn),
      auc: auc(unlabelled, simulated).value,
    })
  }
  return Object.fromEntries(
    figureNames.map((name) => {
      const values = runs.map((run) => run[name]).filter((value) => Number.isFinite(value))
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return [name, Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))]
    }),
  )
}
