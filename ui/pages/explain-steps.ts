import type { ExplainData } from '../../serving/dashboard/contract/explain.ts'

export type View = ExplainData['views'][number]
export type Feature = View['features'][number]
export type Step = Feature['steps'][number]

/** What a row is to a feature at a moment. */
export type RowState = 'counted' | 'waiting' | 'out'

/** The step that holds at a moment. */
export function stepAt(steps: readonly Step[], t: number): Step | undefined {
  return steps.findLast((step) => step.t <= t)
}

/** By index of the view's rows, what each is to a feature. */
export function rowStates(view: View, feature: Feature | undefined, t: number): readonly RowState[] {
  const counted = new Set(feature === undefined ? [] : stepAt(feature.steps, t)?.rows)
  return view.rows.map(({ visible }, index) => (counted.has(index) ? 'counted' : visible > t ? 'waiting' : 'out'))
}
