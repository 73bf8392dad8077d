import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Value, ValueType } from '../../kernel/values/value-type.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { NotedPredictions } from './noted-predictions.ts'

const lettersPerValue = 16
/** The other values that are kept for each entity. */
const valuesOfEntity = 10

/** The approximate size of a request in the log's buffer, in values; long values count by their length. */
export function bufferedValues({ service, outputs, read, predictions }: NotedPredictions): number {
  let size = read.rows.length * (service.features.length + outputs.length + service.keys.length + service.request.length + valuesOfEntity)
  const long = longOf(service)
  if (long.length > 0) for (const { values } of read.rows) for (const f of long) size += lengthOf(values[f] ?? null)
  if (service.request.some(({ type }) => isLong(type)))
    for (const { request } of read.entities) for (const value of request) size += lengthOf(value)
  for (const [o, { type }] of outputs.entries()) if (isLong(type)) for (const row of predictions) size += lengthOf(row[o] ?? null)
  return size
}

const longOf = memoizeWeak((service: ServicePlan) => service.features.flatMap(({ type }, f) => (isLong(type) ? [f] : [])))

function isLong({ kind }: ValueType): boolean {
  return kind === 'string' || kind === 'vector' || kind === 'list' || kind === 'counts'
}

function lengthOf(value: Value | null): number {
  if (typeof value === 'string') return value.length / lettersPerValue
  if (value instanceof Map) return value.size * 2
  return value instanceof Float32Array || Array.isArray(value) ? value.length : 0
}
