import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import { spanned } from '../../runtime/tracing/span.ts'
import type { MaterializeResult } from './materialize.ts'

/** The name of the spans of runs. */
export const runSpan = 'materialize view'

/** Does a run of a view, and records it in the span, which it ends. Without a span it only does the run. */
export async function recordRun(
  span: Span | undefined,
  { id }: ViewPlan,
  run: () => Promise<MaterializeResult>,
): Promise<MaterializeResult> {
  if (span === undefined) return await run()
  span.set({ 'lockstep.view': id })
  return await spanned(span, async () => {
    const result = await run()
    span.set({ 'lockstep.mode': result.mode, 'lockstep.rows': result.rows, 'lockstep.entities': result.entities })
    return result
  })
}
