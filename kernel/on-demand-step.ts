import { LockstepError, messageOf, withoutStop } from './errors.ts'
import type { OnDemandSpec } from './specs/service-spec.ts'
import { allPresent, Status } from './states/state.ts'
import { formatTimestamp } from './values/time.ts'
import type { LoadTransform } from './transform.ts'
import { loadTransform, timeoutOfCall } from './transform.ts'
import { valueFromJson } from './values/value-json.ts'
import type { Value } from './values/value-type.ts'
import { checkValue, ownCopy, show } from './values/value-type.ts'
import type { DefinitionId } from './specs/view-spec.ts'

/** The features of one view for one row, by index in the view. */
export interface StepValues {
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
}

/** An input of a transform, under its name. */
export interface StepInput {
  readonly name: string
  /** A view that is read, by index of the service's uses, or an on-demand view, by index of the steps. */
  readonly site: 'use' | 'onDemand'
  readonly source: number
  /** The input features, with their index in the view. */
  readonly features: readonly { readonly name: string; readonly index: number; readonly required: boolean }[]
}

/** One on-demand view in a service. Steps run in order, so that the inputs of each step are already computed. */
export interface OnDemandStep {
  readonly view: DefinitionId
  readonly spec: OnDemandSpec
  readonly inputs: readonly StepInput[]
  /**
   * Runs the transform. If a required input feature is missing, the transform is not called, and all of its features
   * are missing.
   *
   * @param sites the values so far: of the read views, and of earlier steps
   * @param request by index of the service's request values
   * @throws LockstepError `TRANSFORM_FAILED`, `TRANSFORM_TIMEOUT`
   */
  compute(
    sites: { readonly use: readonly StepValues[]; readonly onDemand: readonly StepValues[] },
    request: readonly Value[],
    asOf: number,
  ): StepValues
}

/** An on-demand view as it is stored. */
export interface OnDemandCode {
  readonly spec: OnDemandSpec
  readonly code: string
  /** Default: `loadTransform`. */
  readonly load?: LoadTransform
}

/** @param request the service's request values, which include those of this view */
export function onDemandStep(
  { spec, code, load = loadTransform }: OnDemandCode,
  view: DefinitionId,
  inputs: readonly StepInput[],
  request: readonly { readonly name: string }[],
): OnDemandStep {
  const transform = load(code, view) as (input: Record<string, unknown>) => unknown
  const defaults = spec.features.map((f) => valueFromJson(f.type, f.default, `The default of "${f.name}" of "${view}"`))
  const missing: StepValues = { values: defaults, statuses: spec.features.map(() => Status.nullValue) }
  const requested = spec.request.map(({ name }) => ({ name, index: request.findIndex((column) => column.name === name) }))

  const failed = (asOf: number, why: string, cause?: unknown): LockstepError =>
    new LockstepError(
      'TRANSFORM_FAILED',
      `The transform of "${view}" failed for the moment ${formatTimestamp(asOf)}: ${why}. Correct it under a new version.`,
      { cause },
    )

  return {
    view,
    spec,
    inputs,
    compute(sites, values, asOf) {
      const input: Record<string, unknown> = { asOf }
      const data: Record<string, Value> = {}
      for (const { name, index } of requested) data[name] = ownCopy(values[index] as Value)
      input['request'] = data
      for (const { name, site, source, features } of inputs) {
        const found = (sites[site][source] as StepValues).values
        const given: Record<string, Value | null> = {}
        for (const feature of features) {
          const value = found[feature.index] ?? null
          if (value === null && feature.required) return missing
          given[feature.name] = ownCopy(value)
        }
        input[name] = given
      }
      let output: unknown
      try {
        output = transform(input)
      } catch (cause) {
        throw timeoutOfCall(cause, `for the moment ${formatTimestamp(asOf)}`) ?? failed(asOf, messageOf(cause), cause)
      }
      if (typeof output !== 'object' || output === null) throw failed(asOf, `it returned ${show(output)}, not an object`)
      const answer: (Value | null)[] = []
      const statuses: Status[] = []
      for (const [i, { name, type }] of spec.features.entries()) {
        const value: unknown = (output as Record<string, unknown>)[name]
        if (value === undefined) throw failed(asOf, `it returned no "${name}"`)
        statuses.push(value === null ? Status.nullValue : Status.present)
        if (value === null) {
          answer.push(defaults[i] ?? null)
          continue
        }
        try {
          answer.push(checkValue(type, value, `"${name}"`))
        } catch (cause) {
          throw failed(asOf, withoutStop(cause), cause)
        }
      }
      return { values: answer, statuses: statuses.every((status) => status === Status.present) ? allPresent(statuses.length) : statuses }
    },
  }
}
