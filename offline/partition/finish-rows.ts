import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Status as StatusNumber } from '../../kernel/states/state.ts'
import { Status } from '../../kernel/states/state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { AnswerColumns } from '../answers.ts'
import { assemble, noneMissing } from '../datasets/assemble.ts'
import type { JoinedBatch } from '../datasets/assemble.ts'

type Values = (Value | null)[]

/**
 * Makes the features of a service from the joined answers of its passes.
 *
 * @param columns by index of the input of the last step (`PartitionLayout.finish`)
 */
export function finishRows(service: ServicePlan, columns: readonly Values[], rows: number): JoinedBatch {
  const times = columns[1] as number[]
  let at = 2 + service.request.length
  const answers = service.uses.map(({ plan }) => {
    const from = at
    at += plan.features.length
    return new ReadAnswers(columns.slice(from, at))
  })
  const joined = {
    length: rows,
    spine: columns.slice(2, 2 + service.request.length),
    times,
    values: service.features.map(() => new Array<Value | null>(rows)),
    statuses: [],
    missing: new Array<readonly string[]>(rows).fill(noneMissing),
  }
  const request = service.request.map((_, i) => i)
  assemble({ service, request, keys: [], answers, joined, from: 0, to: rows, first: 0 })
  return joined
}

/** Answers without statuses. Code sees values alone, and a required value is missing where it is null. */
class ReadAnswers implements AnswerColumns {
  readonly features: number
  readonly #columns: readonly Values[]

  constructor(columns: readonly Values[]) {
    this.features = columns.length
    this.#columns = columns
  }

  value(feature: number, row: number): Value | null {
    return this.#columns[feature]?.[row] ?? null
  }

  status(feature: number, row: number): StatusNumber {
    return this.value(feature, row) === null ? Status.nullValue : Status.present
  }

  copy(feature: number, from: number, to: number, values: Values, at: number): void {
    for (let row = from, target = at; row < to; row++, target++) values[target] = this.value(feature, row)
  }
}
