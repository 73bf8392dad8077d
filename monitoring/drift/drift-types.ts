import type { Window } from '../window.ts'
import type { BaselineOrigin } from '../baselines/baseline.ts'
import type { FeatureEffects } from '../baselines/feature-effects.ts'
import type { ColumnComparison } from './compare-column.ts'

/** The baseline of a window. */
export type DriftBaseline =
  /** The baseline of the version: its training set, or its first served rows. */
  | { readonly kind: 'training' }
  /** The time before the window. */
  | { readonly kind: 'previous'; readonly micros: number }
  /** The same window a day earlier. */
  | { readonly kind: 'same-hour-yesterday' }
  /** The same window a week earlier. */
  | { readonly kind: 'same-hour-last-week' }
  /** Another training set, by id or the beginning of its id. */
  | { readonly kind: 'dataset'; readonly id: string }

export const causeKinds = [
  'source late',
  'view changed',
  'statuses moved',
  'new categories',
  'request fields moved',
  'mix of entities moved',
  'volume changed',
  'source values changed',
  'features drifted',
  'unknown',
] as const

/** A likely cause of a drift, with the figures that show it. */
export interface DriftCause {
  readonly kind: (typeof causeKinds)[number]
  /** A sentence with its evidence. */
  readonly text: string
}

export interface ColumnDrift extends ColumnComparison {
  /** A feature's name, or `output:NAME`. */
  readonly column: string
  readonly kind: 'feature' | 'output'
  readonly type: string
  /** Whether both hold: the adjusted p is below `alpha`, and the PSI is at least `minPsi` above what chance gives. */
  readonly drifted: boolean
  /** By Benjamini and Hochberg over all columns with a p-value. */
  readonly adjustedP: number | null
  /** PSI above what chance gives; null without one. */
  readonly effect: number | null
  /**
   * For a feature: how far it moves the prediction if it is permuted, times the share of rows that changed bins. For an
   * output: how far its mean moved. null: unknown.
   */
  readonly harm: number | null
  readonly mean: { readonly baseline: number | null; readonly window: number | null }
  /** Categories of the window that the baseline does not name, most frequent first. */
  readonly newCategories: readonly string[]
  /** Why the column was not tested; null: it was. */
  readonly untested: string | null
  /** Likely causes, the likeliest first; empty unless it drifted. */
  readonly causes: readonly DriftCause[]
}

export interface DriftReport {
  readonly model: string
  readonly version: number
  readonly window: Window
  readonly baseline: {
    readonly kind: DriftBaseline['kind']
    readonly origins: readonly BaselineOrigin[]
    /** The window, if served rows were compared; else null. */
    readonly window: Window | null
    readonly rows: number
  }
  readonly rows: number
  /** Rows whose values were counted. */
  readonly sampledRows: number
  /** Stretches of the window that were not measured. */
  readonly gaps: readonly Window[]
  readonly alpha: number
  readonly minPsi: number
  readonly effects: Omit<FeatureEffects, 'byFeature'> | null
  readonly drifted: readonly string[]
  /** Features by harm, then outputs. */
  readonly columns: readonly ColumnDrift[]
  /** What limits the report, a sentence each. */
  readonly notes: readonly string[]
}

export interface DriftThresholds {
  readonly alpha: number
  readonly minPsi: number
}

/** Chosen so that neither a large window's tiny change nor a small window's noise is called drift. */
export const defaultThresholds: DriftThresholds = { alpha: 0.01, minPsi: 0.1 }
