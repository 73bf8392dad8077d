import { encodeKey } from '../../kernel/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'

/** A failure; one that is of one entity of a request says its index. */
export function namingIndex(service: ServicePlan, entities: readonly ServedEntity[], error: unknown): unknown {
  return error instanceof LockstepError && error.code === 'TOO_MANY_CATEGORIES' ? ofIndex(indexOf(service, entities, error), error) : error
}

export function ofIndex(index: number, cause: LockstepError): LockstepError {
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
