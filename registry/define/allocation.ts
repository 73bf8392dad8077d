import { LockstepError } from '../../kernel/errors.ts'
import type { AllocationSpec, ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { show } from '../../kernel/values/value-type.ts'
import { checkOptions } from './definition.ts'

/** How the shares of the variants follow the primary metric (Thompson sampling). */
export interface Allocation {
  readonly method: 'thompson'
  /** The least share of a variant. Default: a tenth of an equal share. */
  readonly floor?: number
  /** Shares change once each variant has so many units with a value of the primary metric. Default: 100. */
  readonly minUnits?: number
}

/** @throws LockstepError `DEFINITIONS_INVALID` */
export function allocationOf(given: unknown, spec: ExperimentSpec, what: string): AllocationSpec | null {
  if (given === undefined) return null
  const of = `The allocation of ${what.replace('The', 'the')}`
  const stated = given === 'thompson' ? { method: 'thompson' } : given
  if (!isRecord(stated) || stated['method'] !== 'thompson')
    throw invalid(`${of} is ${show(given)}; write 'thompson', or { method: 'thompson', floor: 0.1, minUnits: 200 }.`)
  checkOptions(stated, of, ['method', 'floor', 'minUnits'])
  const equal = 1 / spec.variants.length
  const { floor = equal / 10, minUnits = 100 } = stated
  if (typeof floor !== 'number' || !(floor > 0 && floor < equal))
    throw invalid(
      `${of} has the floor ${show(floor)}; write a share above 0 and below ${Number(equal.toPrecision(3))}, the equal share of its ${spec.variants.length} variants.`,
    )
  if (typeof minUnits !== 'number' || !(Number.isSafeInteger(minUnits) && minUnits >= 100))
    throw invalid(`${of} has ${show(minUnits)} as minUnits; write a whole number from 100 on.`)
  checkSuited(spec, what)
  return Object.freeze({ method: 'thompson', floor, minUnits })
}

/** Units keep their variants, and each figure can be weighted by the share that its unit had. */
function checkSuited({ metrics, covariates, slices, analysis }: ExperimentSpec, what: string): void {
  const has = `${what} has an allocation that follows its results`
  const other = metrics.find(({ kind, per }) => (kind !== 'mean' && kind !== 'proportion') || per !== 'unit')
  if (other !== undefined)
    throw invalid(
      `${has}, and the metric "${other.name}", which cannot be weighted by shares. Use means and proportions by unit, or leave out the allocation.`,
    )
  const field = covariates.length > 0 ? 'covariates' : slices.length > 0 ? 'slices' : null
  if (field !== null) throw invalid(`${has}, and ${field}, which it does not take. Leave out one of the two.`)
  if (analysis.method !== 'sequential')
    throw invalid(`${has}, and the method '${analysis.method}'; such an experiment is looked at often, so use 'sequential'.`)
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
