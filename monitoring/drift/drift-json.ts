import { windowJson } from '../window.ts'
import type { DriftReport } from './drift-types.ts'

/** A report as HTTP and the command line print it: moments are RFC 3339. */
export function driftJson({ window, baseline, gaps, ...report }: DriftReport) {
  return {
    ...report,
    window: windowJson(window),
    baseline: { ...baseline, window: baseline.window === null ? null : windowJson(baseline.window) },
    gaps: gaps.map(windowJson),
  }
}

export type DriftJson = ReturnType<typeof driftJson>
