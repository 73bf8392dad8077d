import type { ServicePlan, ServiceRow } from '../../../../kernel/service-plan.ts'
import { allPresent, Status, statusNames } from '../../../../kernel/states/state.ts'
import type { Column, Value, ValueType } from '../../../../kernel/values/value-type.ts'
import { hasFloats } from '../../../../kernel/values/value-type.ts'
import { jsonCanSay, valueWriter } from '../../../value-text.ts'

/** A feature of all entities of a request, or an output of all their predictions, by index of the entities. */
export interface ValueColumn {
  readonly values: readonly (Value | null)[]
  /** null: all are PRESENT. A value that JSON has no form for is INVALID. */
  readonly statuses: readonly Status[] | null
}

/** By index of the service's features. */
export function featureColumns(service: ServicePlan, rows: readonly ServiceRow[]): ValueColumn[] {
  const present = allPresent(service.features.length)
  const values = rows.map((row) => row.values)
  const statuses = rows.map((row) => row.statuses)
  const arePresent = statuses.every((ofRow) => ofRow === present)
  return service.features.map(({ type }, f) => valueColumn(type, values, f, arePresent ? null : statuses))
}

/** By index of the outputs. */
export function outputColumns(outputs: readonly Column[], predictions: readonly (readonly Value[])[]): ValueColumn[] {
  return outputs.map(({ type }, o) => valueColumn(type, predictions, o, null))
}

function valueColumn(
  type: ValueType,
  rows: readonly (readonly (Value | null)[])[],
  at: number,
  statusRows: readonly (readonly Status[])[] | null,
): ValueColumn {
  const values = new Array<Value | null>(rows.length)
  for (let r = 0; r < values.length; r++) values[r] = (rows[r] as readonly (Value | null)[])[at] as Value | null
  let statuses: Status[] | null = null
  for (let r = 0; statusRows !== null && r < values.length; r++) {
    const status = (statusRows[r] as readonly Status[])[at] as Status
    if (status !== Status.present) (statuses ??= presentStatuses(values.length))[r] = status
  }
  const mayBeInvalid = hasFloats(type)
  for (let r = 0; mayBeInvalid && r < values.length; r++) {
    const value = values[r] as Value | null
    // the usual case, without a call
    if (typeof value === 'number' ? value - value !== 0 : !jsonCanSay(value))
      (statuses ??= presentStatuses(values.length))[r] = Status.invalid
  }
  return { values, statuses }
}

function presentStatuses(rows: number): Status[] {
  return new Array<Status>(rows).fill(Status.present)
}

/** Compiled text of a column as a JSON array, with values as `valueWriter` has them. */
export function columnWriter(type: ValueType): (values: readonly (Value | null)[]) => string {
  switch (type.kind) {
    case 'bool':
    case 'int32':
    case 'float32':
    case 'float64':
    case 'string':
      // the same text, made at once
      return JSON.stringify
    case 'int64':
    case 'timestamp':
    case 'vector':
    case 'list':
    case 'counts': {
      const write = valueWriter(type)
      return (values) => `[${values.map(write).join()}]`
    }
    default:
      return type satisfies never
  }
}

/** Compiled texts of an object of columns, for `joinedBody`. */
export function columnsWriter(columns: readonly Column<ValueType>[]): (values: readonly ValueColumn[]) => string[] {
  const writers = columns.map(({ type }) => columnWriter(type))
  const names = columns.map(({ name }, c) => `${c === 0 ? '{' : ','}${JSON.stringify(name)}:`)
  if (columns.length === 0) return () => ['{}']
  return (ofColumns) => {
    const texts: string[] = []
    for (const [c, { values }] of ofColumns.entries()) texts.push(names[c] as string, (writers[c] as (typeof writers)[number])(values))
    texts.push('}')
    return texts
  }
}

/**
 * The statuses that are not PRESENT, by column, and there by status as the indexes of the rows:
 * `{"lastDelay":{"NOT_FOUND":[3,7]}}`.
 */
export function statusesJson(columns: readonly Column<ValueType>[], values: readonly ValueColumn[]): string {
  const members = values.flatMap(({ statuses }, c) =>
    statuses === null ? [] : `${JSON.stringify((columns[c] as Column<ValueType>).name)}:${rowsByStatus(statuses)}`,
  )
  return `{${members.join()}}`
}

function rowsByStatus(statuses: readonly Status[]): string {
  const rows: number[][] = statusNames.map(() => [])
  for (const [row, status] of statuses.entries()) rows[status]?.push(row)
  const members = rows.flatMap((of, status) =>
    status === Status.present || of.length === 0 ? [] : `"${statusNames[status]}":[${of.join()}]`,
  )
  return `{${members.join()}}`
}

/** By index of the service's `uses`: those of features that come from one read are equal. */
export function eventTimesByUse({ uses }: ServicePlan, rows: readonly ServiceRow[]): (number | null)[][] {
  return uses.map((_, use) => rows.map((row) => row.eventTimeOf(use)))
}

/** By index of the service's features. Those of a feature that an on-demand view computes are null. */
export function featureEventTimes(service: ServicePlan, rows: readonly ServiceRow[]): (readonly (number | null)[])[] {
  const byUse = eventTimesByUse(service, rows)
  const none = rows.map(() => null)
  return service.features.map(({ use }) => (use === null ? none : (byUse[use] ?? none)))
}

/** The same by name, as JSON. */
export function eventTimesJson(service: ServicePlan, rows: readonly ServiceRow[]): string {
  const byUse = eventTimesByUse(service, rows).map(columnWriter({ kind: 'timestamp' }))
  const none = JSON.stringify(rows.map(() => null))
  return `{${service.features.map(({ name, use }) => `${JSON.stringify(name)}:${use === null ? none : byUse[use]}`).join()}}`
}
