import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { parseFrontier } from '../../kernel/states/frontier.ts'
import { asRecord } from '../../kernel/is-record.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { LoggedVector } from '../prediction-log/read-predictions.ts'
import type { ReadOrigin } from '../prediction-log/provenance.ts'

/** A logged vector, decoded with the service that made it. */
export interface LoggedAnswer extends ServedEntity {
  readonly row: LoggedVector
  readonly service: ServicePlan
  /** By index of the service's features. */
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
  /** By index of the service's uses. */
  readonly reads: readonly { readonly from: ReadOrigin['from']; readonly frontier: Frontier | null }[]
}

/** @throws LockstepError `INVALID_ROW` where a member is missing or not of the service's type */
export function readAnswer(row: LoggedVector, service: ServicePlan): LoggedAnswer {
  const statuses = asRecord(row.statuses)
  const reads = Array.isArray(row.reads) ? row.reads : []
  return {
    row,
    service,
    values: valuesOf(service.features, row.features, 'The feature'),
    statuses: service.features.map(({ name }) => statusOf(statuses[name])),
    ...readServedEntity(row, service),
    reads: service.uses.map((_, use) => originOf(reads[use])),
  }
}

/**
 * What was asked for in a logged row.
 *
 * @throws LockstepError `INVALID_ROW` where a member is missing or not of the service's type
 */
export function readServedEntity(row: Pick<LoggedVector, 'keys' | 'request'>, service: ServicePlan): ServedEntity {
  const keyValues = valuesOf(service.keys, row.keys, 'The key')
  return {
    keys: service.uses.map(({ plan, key }) =>
      encodeKey(
        plan.key,
        key.map((name) => keyValues[service.keys.findIndex((column) => column.name === name)]),
      ),
    ),
    request: valuesOf(service.request, row.request, 'The request value').map((value, i) => {
      if (value === null) throw unreadable(`The request value "${service.request[i]?.name}" is null.`)
      return value
    }),
  }
}

function valuesOf(columns: readonly Column<ValueType>[], json: unknown, what: string): (Value | null)[] {
  const values = asRecord(json)
  return columns.map(({ name, type }) => {
    if (!Object.hasOwn(values, name)) throw unreadable(`${what} "${name}" is missing.`)
    return valueFromJson(type, values[name], `${what} "${name}"`)
  })
}

function originOf(json: unknown): LoggedAnswer['reads'][number] {
  const { from, frontier } = asRecord(json)
  const origin = (['state', 'history', 'rebuilt', 'default'] as const).find((each) => each === from)
  if (origin === undefined) throw unreadable('It does not say where a view was read.')
  return { from: origin, frontier: typeof frontier === 'string' ? parseFrontier(frontier) : null }
}

function statusOf(json: unknown): Status {
  if (json === undefined) return Status.present
  const status = statusNames.findIndex((name) => name === json)
  if (status < 0) throw unreadable('A status is unknown.')
  return status as Status
}

function unreadable(why: string): LockstepError {
  return new LockstepError('INVALID_ROW', `A row of the prediction log cannot be read: ${why} Another program has written it.`)
}
