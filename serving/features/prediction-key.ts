import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { Spine } from '../../offline/spine/spine.ts'

/** A prediction whose key has more bytes is not stored. */
const maxPredictionKeyBytes = 1024

/** The uses of a service by which its keys differ. */
const keyedUses = memoizeWeak(({ uses }: ServicePlan): readonly number[] => {
  const names = uses.map(({ key }) => JSON.stringify(key))
  return uses.flatMap(({ key }, use) => (key.length > 0 && names.indexOf(names[use] as string) === use ? [use] : []))
})

/** All keys of a request's row as one; null: the service has none, or it is too long. */
export function keyOfEntity(service: ServicePlan, { keys }: ServedEntity): EntityKey | null {
  return fitting(keyedUses(service).map((use) => keys[use] as EntityKey))
}

/** The same key of rows of a spine; null: a part of it is null, or it is too long. */
export function spineKey(
  service: ServicePlan,
  spine: Pick<Spine, 'columns'>,
): (columns: readonly (readonly (Value | null)[])[], row: number) => EntityKey | null {
  const parts = keyedUses(service).flatMap((use) => {
    const found = service.uses[use]
    return found === undefined
      ? []
      : [{ parts: found.plan.key, slots: found.key.map((name) => spine.columns.findIndex((column) => column.name === name)) }]
  })
  return (columns, row) => {
    const keys: EntityKey[] = []
    for (const { parts: key, slots } of parts) {
      const values = slots.map((slot) => columns[slot]?.[row] ?? null)
      if (values.includes(null)) return null
      keys.push(encodeKey(key, values))
    }
    return fitting(keys)
  }
}

function fitting(keys: readonly EntityKey[]): EntityKey | null {
  const key = keys.join('')
  return key === '' || key.length > maxPredictionKeyBytes ? null : key
}
