import type { Figure } from './figure.ts'
import type { Calibration } from './calibration-figures.ts'

/** One mature prediction with an outcome, which counts in the figures of a group. */
export interface JudgedRow {
  /** A hash of the entity's key. */
  readonly entity: number
  /** The output: a number, or the text of a class. */
  readonly score: number | string
  /** The outcome: 0 or 1, a number, or the text of a class. */
  readonly outcome: number | string
}

/** The rows of one group: sums, and a sample of its scores. */
export interface GroupTally {
  add(row: JudgedRow): void
  readonly rows: number
  entities(): number | null
  /**
   * Other work of the process runs in between.
   *
   * @param curveRows the most rows of the calibration curve; 0: there is none
   */
  finish(curveRows: number): Promise<FinishedGroup>
}

export interface FinishedGroup {
  readonly figures: Readonly<Record<string, Figure>>
  /** Only of classifiers whose scores are probabilities. */
  readonly calibration: Calibration | null
}
