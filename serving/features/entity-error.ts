import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'

/**
 * The error; one about the state of one entity names the entity.
 *
 * @param rows what to call each entity. Absent: its index.
 */
export function nameEntity(
  service: ServicePlan,
  entities: readonly ServedEntity[],
  rows: readonly number[] | undefined,
  error: unknown,
): unknown {
  if (!(error instanceof LockstepError) || error.code !== 'TOO_MANY_CATEGORIES') return error
  const index = indexOf(service, entities, error)
  return entityError(rows?.[index] ?? index, error)
}

/** The error, about the entity of that index in the request. */
export function entityError(index: number, cause: LockstepError): LockstepError {
  return new LockstepError(cause.code, `Entity ${index}: ${cause.message}`, { cause, details: { ...cause.details, entity: index } })
}

/** The first entity with the key and of the view that the failure names. */
function indexOf(service: ServicePlan, entities: readonly ServedEntity[], { details }: LockstepError): number {
  const values = (details['key'] ?? {}) as Readonly<Record<string, unknown>>
  const keys = service.uses.map(({ plan }) =>
    plan.id === details['view']
      ? encodeKey(
          plan.key,
          plan.key.map(({ name }) => values[name]),
        )
      : null,
  )
  return entities.findIndex((entity) => entity.keys.some((key, use) => key === keys[use]))
}
