import type { OutcomePlan } from '../kernel/compile-outcome.ts'
import { canJudge } from '../kernel/specs/outcome-spec.ts'
import type { Catalog } from './catalog.ts'

/**
 * The outcomes that judge an output of a model. The others serve experiments and exports: among them are stored ones
 * that cannot judge their output, which earlier versions did not refuse.
 */
export function judgingOutcomes({ outcomes, models }: Pick<Catalog, 'outcomes' | 'models'>, model: string): OutcomePlan[] {
  return [...outcomes.values()].filter(({ spec }) => {
    if (spec.model !== model || spec.output === null) return false
    const output = models.get(model)?.spec.output.find(({ name }) => name === spec.output)
    // a report says that the model no longer has it
    return output === undefined || canJudge(spec.type, output.type)
  })
}
