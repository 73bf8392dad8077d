import { parseDuration } from '../../../kernel/values/duration.ts'
import type { StatedBaseline } from '../../../registry/define/check-options.ts'
import type { BaselineOrigin } from '../../baselines/baseline.ts'
import type { DriftBaseline } from '../../drift/drift-types.ts'

/** The baseline that a check states. */
export function driftBaseline(stated: StatedBaseline): DriftBaseline {
  if (typeof stated === 'string') return { kind: stated }
  if ('previous' in stated) return { kind: 'previous', micros: parseDuration(stated.previous) }
  return { kind: 'dataset', id: stated.dataset }
}

/**
 * For sentences: "more than in the training data".
 *
 * @param origins what the baseline of a version was made from
 */
export function baselineText(baseline: DriftBaseline, origins: readonly BaselineOrigin[] = []): string {
  switch (baseline.kind) {
    case 'training':
      return origins.some(({ kind }) => kind === 'served') ? 'the first rows that it answered' : 'the training data'
    case 'dataset':
      return `the training set "${baseline.id}"`
    case 'previous':
      return 'the time before'
    case 'same-hour-yesterday':
      return 'the same time yesterday'
    case 'same-hour-last-week':
      return 'the same time last week'
    default:
      return baseline satisfies never
  }
}
