import type { OutcomePlan } from '../kernel/compile-outcome.ts'
import type { Catalog } from './catalog.ts'

/** The outcomes that judge an output of a model. The others serve experiments and exports. */
export function judgingOutcomes({ outcomes }: Pick<Catalog, 'outcomes'>, model: string): OutcomePlan[] {
  return [...outcomes.values()].filter(({ spec }) => spec.model === model && spec.output !== null)
}
