import { LockstepError } from '../../../kernel/errors.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import type { Column } from '../../../kernel/values/value-type.ts'
import type { EntitySpec } from '../../../kernel/specs/view-spec.ts'
import { didYouMean } from '../../../kernel/did-you-mean.ts'
import { quotedNames } from '../../../kernel/values/quoted-names.ts'

/** Entities as Feast's clients send them: a list of values for each column. */
export type EntityColumns = Readonly<Record<string, readonly unknown[]>>

/**
 * The columns as an object for each row, as the parser of the plan takes them. A key may go by its entity's name, where
 * that has one part; what names a key of another entity is passed over, as Feast does.
 *
 * @throws LockstepError `INVALID_ENTITY` naming a column that is unknown or of another length
 */
export function entityRows(
  plan: ServicePlan,
  entities: ReadonlyMap<string, EntitySpec>,
  columns: EntityColumns,
): Record<string, unknown>[] {
  const names = Object.keys(columns)
  const [first] = names
  const length = first === undefined ? 0 : (columns[first]?.length ?? 0)
  const taken = [...plan.keys, ...plan.request]
  const rows = Array.from({ length }, (): Record<string, unknown> => ({}))
  for (const name of names) {
    const values = columns[name] ?? []
    if (values.length !== length) {
      throw new LockstepError(
        'INVALID_ENTITY',
        `The entity column "${name}" has ${values.length} values, but "${first}" has ${length}. Send one value of each column for every row.`,
        { details: { field: name } },
      )
    }
    const column = taken.find((each) => each.name === name) ?? keyOfEntity(plan, entities, name)
    if (column === undefined) {
      if ([...entities.values()].some((entity) => entity.name === name || entity.key.some((part) => part.name === name))) continue
      const all = taken.map((each) => each.name)
      throw new LockstepError(
        'INVALID_ENTITY',
        `The entity column "${name}" does not belong to these features.${didYouMean(name, all)} They take ${quotedNames(all) || 'none'}.`,
        { details: { field: name } },
      )
    }
    // the names of columns begin with a letter, so none is __proto__
    for (let i = 0; i < length; i++) (rows[i] as Record<string, unknown>)[column.name] = coerced(column, values[i])
  }
  return rows
}

function keyOfEntity({ keys }: ServicePlan, entities: ReadonlyMap<string, EntitySpec>, name: string): Column | undefined {
  const key = entities.get(name)?.key
  return key?.length === 1 ? keys.find((each) => each.name === key[0]?.name) : undefined
}

/** Feast's clients send 5 for "5" and "5" for 5, and mean the same. */
function coerced({ type }: Column, value: unknown): unknown {
  if (type.kind === 'string' && (typeof value === 'number' || typeof value === 'bigint')) return String(value)
  if (type.kind === 'int32' && typeof value === 'string' && /^-?\d{1,10}$/.test(value)) return Number(value)
  if (type.kind === 'float64' && typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value)
  return value
}
