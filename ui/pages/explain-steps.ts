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

/** How many rows are in a value. Of an entity with many rows the page has only some: then it has more than these. */
export function rowsInValue({ cut }: Pick<View, 'cut'>, { kind, steps }: Pick<Feature, 'kind' | 'steps'>, t: number): string {
  const count = stepAt(steps, t)?.rows.length ?? 0
  return cut > 0 && kind !== 'latest' ? `${count} or more` : String(count)
}

/** By index of the view's rows, what each is to a feature. */
export function rowStates(view: View, feature: Feature | undefined, t: number): readonly RowState[] {
  const counted = new Set(feature === undefined ? [] : stepAt(feature.steps, t)?.rows)
  return view.rows.map(({ visible }, index) => (counted.has(index) ? 'counted' : visible > t ? 'waiting' : 'out'))
}
