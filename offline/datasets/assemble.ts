import type { ServicePlan, ServiceRow } from '../../kernel/service-plan.ts'
import { namingRow } from '../../kernel/values/show-key.ts'
import type { Status, ViewValues } from '../../kernel/states/state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { AnswerColumns } from '../answers.ts'

export const noneMissing: readonly string[] = []

/** Consecutive rows of the spine with their features, by column. */
export interface JoinedBatch {
  readonly length: number
  /** By index of `spine.columns`. */
  readonly spine: readonly (readonly (Value | null)[])[]
  /** Epoch microseconds. */
  readonly times: readonly number[]
  /** By index of `service.features`. */
  readonly values: readonly (readonly (Value | null)[])[]
  /** As `values`; empty unless requested. */
  readonly statuses: readonly (readonly Status[])[]
  /** By row: which of `service.required` have no value in it. */
  readonly missing: readonly (readonly string[])[]
}

/** The rows [from, to) of a batch, whose answers stand from `from - first` on. */
export interface Assembly {
  readonly service: ServicePlan
  /** By index of `service.request`, the column of the spine. */
  readonly request: readonly number[]
  /** By index of `service.keys`, the column of the spine; empty: the spine has none of them. */
  readonly keys: readonly number[]
  /** By index of `service.uses`. */
  readonly answers: readonly AnswerColumns[]
  readonly joined: JoinedBatch & { readonly missing: (readonly string[])[] }
  readonly from: number
  readonly to: number
  readonly first: number
}

/** Makes the service's features of what its views answered, for some rows of a batch. */
export function assemble(assembly: Assembly): void {
  if (assembly.service.direct === null) assembleRows(assembly)
  else assembleColumns(assembly)
}

function assembleColumns({ service, answers, joined, from, to, first }: Assembly): void {
  for (const [f, { use, feature }] of (service.direct ?? []).entries()) {
    const source = answers[use] as AnswerColumns
    source.copy(feature, from - first, to - first, joined.values[f] as Column, from)
    const statuses = joined.statuses[f] as Status[] | undefined
    if (statuses !== undefined) for (let row = from; row < to; row++) statuses[row] = source.status(feature, row - first)
  }
}

function assembleRows(assembly: Assembly): void {
  const { request, answers, joined, from, to, first } = assembly
  const asked = new Array<Value>(request.length)
  const read = answers.map(({ features }) => ({
    values: new Array<Value | null>(features),
    statuses: new Array<Status>(features),
    eventTime: null,
  }))
  for (let row = from; row < to; row++) {
    for (const [use, { values, statuses }] of read.entries()) {
      const source = answers[use] as AnswerColumns
      for (let i = 0; i < values.length; i++) {
        values[i] = source.value(i, row - first)
        statuses[i] = source.status(i, row - first)
      }
    }
    for (let i = 0; i < request.length; i++) asked[i] = joined.spine[request[i] as number]?.[row] as Value
    const result = evaluateRow(assembly, row, read, asked)
    joined.missing[row] = result.missing
    for (let f = 0; f < joined.values.length; f++) (joined.values[f] as Column)[row] = result.values[f] ?? null
    for (let f = 0; f < joined.statuses.length; f++) (joined.statuses[f] as Status[])[row] = result.statuses[f] as Status
  }
}

/** @throws LockstepError as `evaluate`; that of a transform names its moment and here the keys of the row */
function evaluateRow({ service, keys, joined }: Assembly, row: number, read: readonly ViewValues[], asked: readonly Value[]): ServiceRow {
  try {
    return service.evaluate(read, asked, joined.times[row] as number)
  } catch (error) {
    if (keys.length === 0) throw error
    const shown = keys.map((column, k) => `"${service.keys[k]?.name}" = ${show(joined.spine[column]?.[row] ?? null)}`)
    throw namingRow(error, () => `The row of the spine has ${shown.join(', ')}.`)
  }
}

type Column = (Value | null)[]
