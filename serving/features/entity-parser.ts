import { encodeKey } from '../../kernel/values/entity-key.ts'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import { parseValue, shown } from '../../kernel/values/parse-value.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'

/**
 * Compiles a service's reader of entity objects, such as `{ airport: 'ATL', distance: 594 }`: the key columns and the
 * request values, no more and no less. An int64 is an integer or a decimal string, a timestamp RFC 3339 or epoch
 * microseconds.
 *
 * @throws LockstepError (the parser) `INVALID_ENTITY` or `MISSING_REQUEST_VALUE`, naming the entity's index and its
 *   field
 */
export function createEntityParser(service: ServicePlan): (entity: unknown, index: number) => ServedEntity {
  const names = new Set([...service.keys, ...service.request].map((column) => column.name))
  const taken = quotedNames(names)
  const keyIndex = new Map(service.keys.map((column, index) => [column.name, index]))
  const uses = service.uses.map((use) => ({
    parts: use.plan.key,
    at: use.key.map((name) => keyIndex.get(name) ?? -1),
  }))
  // Uses of one entity under one mapping share the encoded key.
  const sameAs = uses.map((use) =>
    uses.findIndex((other) => String(other.at) === String(use.at) && typesOf(other.parts) === typesOf(use.parts)),
  )

  return (entity, index) => {
    if (!isRecord(entity)) {
      throw new LockstepError(
        'INVALID_ENTITY',
        `Entity ${index} is ${shown(entity)}; send an object${names.size === 0 ? ' without fields, {}' : ` with ${taken}`}.`,
        { details: { entity: index } },
      )
    }
    for (const name of Object.keys(entity)) if (!names.has(name)) throw unknownField(name, index)
    const keyValues = parseAll(service.keys, entity, index, 'INVALID_ENTITY')
    const request = parseAll(service.request, entity, index, 'MISSING_REQUEST_VALUE')
    const keys = new Array<EntityKey>(uses.length)
    for (let u = 0; u < uses.length; u++) {
      const same = sameAs[u] as number
      keys[u] = same < u ? (keys[same] as EntityKey) : encode(uses[u] as (typeof uses)[number], keyValues, index)
    }
    return { keys, request }
  }

  function unknownField(name: string, index: number): LockstepError {
    return new LockstepError(
      'INVALID_ENTITY',
      `Entity ${index} has the field "${name}", which the service "${service.id}" does not have.${didYouMean(name, names)} It takes ${names.size === 0 ? 'none: send {}' : taken}.`,
      { details: { entity: index, field: name } },
    )
  }
}

function parseAll(
  columns: readonly Column[],
  entity: Readonly<Record<string, unknown>>,
  index: number,
  missing: 'INVALID_ENTITY' | 'MISSING_REQUEST_VALUE',
): Value[] {
  const values = new Array<Value>(columns.length)
  for (let c = 0; c < columns.length; c++) values[c] = parseField(entity, columns[c] as Column, index, missing)
  return values
}

/** The value of one field. @throws LockstepError `missing`, or `INVALID_ENTITY`, naming the field */
export function parseField(
  entity: Readonly<Record<string, unknown>>,
  column: Column,
  index: number,
  missing: 'INVALID_ENTITY' | 'MISSING_REQUEST_VALUE',
): Value {
  const json = Object.hasOwn(entity, column.name) ? entity[column.name] : undefined
  if (json !== null && json !== undefined) {
    try {
      return parseValue(column.type, json, '')
    } catch {
      // a value that is refused is parsed again, so that only then the text of its place is made
    }
  }
  throw refused(column, json, index, missing)
}

function refused(column: Column, json: unknown, index: number, missing: 'INVALID_ENTITY' | 'MISSING_REQUEST_VALUE'): unknown {
  const what = `The field "${column.name}" of entity ${index}`
  const details = { entity: index, field: column.name }
  if (json === null || json === undefined) {
    return new LockstepError(missing, `${what} is ${json === null ? 'null' : 'missing'}; send it as ${typeName(column.type)}.`, { details })
  }
  try {
    return parseValue(column.type, json, what)
  } catch (cause) {
    return new LockstepError('INVALID_ENTITY', messageOf(cause), { cause, details })
  }
}

function encode(
  use: { parts: Parameters<typeof encodeKey>[0]; at: readonly number[] },
  values: readonly Value[],
  index: number,
): EntityKey {
  try {
    const own = new Array<unknown>(use.at.length)
    for (let i = 0; i < own.length; i++) own[i] = values[use.at[i] as number]
    return encodeKey(use.parts, own)
  } catch (cause) {
    throw new LockstepError('INVALID_ENTITY', `Entity ${index}: ${messageOf(cause)}`, { cause, details: { entity: index } })
  }
}

function typesOf(parts: readonly Column[]): string {
  return parts.map((part) => typeName(part.type)).join()
}
