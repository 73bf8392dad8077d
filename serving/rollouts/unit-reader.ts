import { isRecord } from '../../kernel/is-record.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { entityFields } from '../../registry/rollouts/check-candidate.ts'
import { requestUnit } from '../../registry/rollouts/rollout.ts'
import { parseField } from '../features/entity-parser.ts'

/**
 * The canonical text of a row's unit; null: the entity is no object, which the version that answers refuses.
 *
 * @throws LockstepError `INVALID_ENTITY` or `MISSING_REQUEST_VALUE`, naming the field
 */
export type UnitReader = (entity: unknown, row: number, requestId: string) => string | null

/**
 * Reads the unit of a row, a field of the service's entities or the request's id; null: the entities have no such
 * field.
 */
export function unitReader(plan: ServicePlan, unit: string): UnitReader | null {
  if (unit === requestUnit) return (_entity, _row, requestId) => requestId
  const column = entityFields(plan).find(({ name }) => name === unit)
  if (column === undefined) return null
  const isKey = plan.keys.some(({ name }) => name === unit)
  return fieldReader(column, isKey ? 'INVALID_ENTITY' : 'MISSING_REQUEST_VALUE')
}

function fieldReader(column: Column, missing: 'INVALID_ENTITY' | 'MISSING_REQUEST_VALUE'): UnitReader {
  const { name, type } = column
  return (entity, row) => {
    if (!isRecord(entity)) return null
    const json = Object.hasOwn(entity, name) ? entity[name] : null
    if (typeof json === 'string' && type.kind === 'string') return json
    // a bigint and its text take longer than the rest of the routing
    if (type.kind === 'int64' && Number.isSafeInteger(json)) return String(json)
    return canonicalText(type, parseField(entity, column, row, missing))
  }
}

/** The same for all ways in which JSON can have a value: `7` and `"7"` of an int64. */
function canonicalText({ kind }: ValueType, value: Value): string {
  if (kind === 'timestamp' && typeof value === 'number') return formatTimestamp(value)
  // a start refuses units of other types (`isUnitType`)
  return typeof value === 'object' ? '' : String(value)
}
