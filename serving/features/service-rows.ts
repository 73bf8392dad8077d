import { LockstepError } from '../../kernel/errors.ts'
import type { ServedEntity, ServicePlan, ServiceRow, ServiceValues } from '../../kernel/service-plan.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { CountsValue, Value } from '../../kernel/values/value-type.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { entityError } from './entity-error.ts'

/** How long the code of on-demand views may block the process for one request. */
const rowsMs = 1000

/**
 * A service's row of each entity.
 *
 * @param read by entity, and there by index of the service's `uses`
 * @param entityRows what errors call each entity. Absent: its index.
 * @throws LockstepError `TRANSFORM_FAILED`, `TRANSFORM_TIMEOUT` or `INVALID_ENTITY`, naming the entity's index
 */
export function evaluateRows(
  service: ServicePlan,
  entities: readonly ServedEntity[],
  read: readonly ViewValues[],
  asOf: number,
  entityRows?: readonly number[],
): ServiceRow[] {
  const uses = service.uses.length
  const rows = new Array<ServiceRow>(entities.length)
  const texts = textsOf(service)
  // each call of a transform has a time limit; this one is for all rows together
  const untilMs = entities.length > 1 && service.direct === null ? performance.now() + rowsMs : Number.POSITIVE_INFINITY
  for (let e = 0; e < entities.length; e++) {
    const own = entities.length === 1 ? read : read.slice(e * uses, (e + 1) * uses)
    const name = entityRows?.[e] ?? e
    const row = evaluate(service, own, (entities[e] as ServedEntity).request, asOf, name)
    for (const f of texts) if (!isUnicode(row.values[f] ?? null)) throw notUnicode(service, name, f)
    rows[e] = row
    if (untilMs < Number.POSITIVE_INFINITY && performance.now() > untilMs) throw rowsTimeout(service, e + 1, entities.length)
  }
  return rows
}

function rowsTimeout(service: ServicePlan, done: number, of: number): LockstepError {
  return new LockstepError(
    'TRANSFORM_TIMEOUT',
    `The on-demand views of "${service.id}" took over ${rowsMs} ms for the first ${done} of ${of} entities. Send fewer entities per request, or make the transforms faster in a new version.`,
    { details: { service: service.id, timeoutMs: rowsMs } },
  )
}

/** A missing required feature fails the request: the model was trained on no value in its place. */
export function refuseMissing(service: ServicePlan, rows: readonly ServiceValues[], asOf: number, entityRows?: readonly number[]): void {
  for (const [index, { missing }] of rows.entries()) {
    if (missing.length === 0) continue
    const entity = entityRows?.[index] ?? index
    throw new LockstepError(
      'REQUIRED_FEATURE_MISSING',
      `Entity ${entity} has no value for ${quotedNames(missing)} at ${formatTimestamp(asOf)}, but the service "${service.id}" requires it. Materialize the view, or leave the entity out.`,
      { details: { entity, features: missing } },
    )
  }
}

/** Runs the on-demand views on the data of the request. If one fails, the error names the entity. */
function evaluate(service: ServicePlan, read: readonly ViewValues[], request: readonly Value[], asOf: number, index: number): ServiceRow {
  try {
    return service.evaluate(read, request, asOf)
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw entityError(index, cause)
  }
}

/** Indexes of the features that are or contain texts. */
const textsOf = memoizeWeak((service: ServicePlan) =>
  service.features.flatMap(({ type }, f) =>
    (type.kind === 'list' ? type.of : type).kind === 'string' || type.kind === 'counts' ? [f] : [],
  ),
)

function isUnicode(value: Value | null): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (value instanceof Map) return [...(value as CountsValue).keys()].every(isUnicode)
  return Array.isArray(value) ? value.every(isUnicode) : true
}

/** An on-demand view can cut a text within a character. No file and no other system takes such a text. */
function notUnicode(service: ServicePlan, index: number, feature: number): LockstepError {
  const name = service.features[feature]?.name ?? ''
  return new LockstepError(
    'INVALID_ENTITY',
    `Entity ${index}: the feature "${name}" is a string with half a character (a lone surrogate). Send other data, or correct the on-demand view.`,
    { details: { entity: index, feature: name } },
  )
}
