import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Status } from '../kernel/state.ts'
import type { Value } from '../kernel/value-type.ts'
import type { JoinedBatch } from './join.ts'
import type { AnswerColumns } from './answers.ts'

export const noneMissing: readonly string[] = []

/** The rows [from, to) of a batch, whose answers stand from `from - first` on. */
export interface Assembly {
  readonly service: ServicePlan
  /** By index of `service.request`, the column of the spine. */
  readonly request: readonly number[]
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

function assembleRows({ service, request, answers, joined, from, to, first }: Assembly): void {
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
    const result = service.evaluate(read, asked, joined.times[row] as number)
    joined.missing[row] = result.missing
    for (let f = 0; f < joined.values.length; f++) (joined.values[f] as Column)[row] = result.values[f] ?? null
    for (let f = 0; f < joined.statuses.length; f++) (joined.statuses[f] as Status[])[row] = result.statuses[f] as Status
  }
}

type Column = (Value | null)[]
