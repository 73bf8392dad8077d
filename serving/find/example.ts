import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import { Status } from '../../kernel/states/state.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { storedEntity } from '../../offline/stored-entity.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { FeatureReaderDeps } from '../features/read-features.ts'
import type { FeatureContext } from '../features/read-request.ts'
import { readEntities } from '../features/read-request.ts'
import { exampleValue } from './example-value.ts'

/** A request that can be sent as it stands. */
export interface Example {
  readonly method: 'POST'
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
  /** Why it is not answered now, and what to do; null: it was tried, and it is. */
  readonly problem: string | null
}

/** The entity of an example. */
export interface ExampleEntity {
  readonly entity: Readonly<Record<string, unknown>>
  /** RFC 3339; null: no moment is needed. */
  readonly asOf: string | null
  /** Why reading it failed; null: it was read. */
  readonly problem: string | null
}

export interface ExampleDeps {
  readonly features: FeatureContext
  readonly db: Database
  readonly catalog: Catalog
}

/**
 * An entity of a service that has rows, tried by reading its features. If nothing of it is present now, as its rows are
 * old, the example asks as of its newest row. Request data is made up.
 */
export async function exampleEntity(deps: ExampleDeps, service: ServicePlan): Promise<ExampleEntity> {
  const { entity, visibleAt } = await entityWithRows(deps.db, service)
  const now = await tried(deps, service, entity, null)
  const isFuture = visibleAt === null || visibleAt > deps.features.clock()
  if (now.absent === 0 || isFuture) return { entity, asOf: null, problem: now.problem }
  const asOf = formatTimestamp(visibleAt)
  const then = await tried(deps, service, entity, asOf)
  return then.absent < now.absent ? { entity, asOf, problem: null } : { entity, asOf: null, problem: now.problem }
}

/** @param service `flight_features@1` */
export function featuresExample(service: string, { entity, asOf, problem }: ExampleEntity): Example {
  const body = { service, entities: [entity], ...(asOf === null ? {} : { asOf }), include: ['eventTimes'] }
  return { method: 'POST', path: '/v1/features', body, problem }
}

export function predictExample(model: string, { entity, asOf, problem }: ExampleEntity): Example {
  return { method: 'POST', path: '/v1/predict', body: { model, entities: [entity], ...(asOf === null ? {} : { asOf }) }, problem }
}

/** @param entity the key of a view @param asOf RFC 3339 */
export function explainExample(view: string, entity: object, asOf: string | null): Example {
  return { method: 'POST', path: '/v1/explain', body: { view, entity, ...(asOf === null ? {} : { asOf }) }, problem: null }
}

/** Made-up values by column. */
export function exampleRow(columns: readonly Column[]): Record<string, unknown> {
  return Object.fromEntries(columns.map(({ name, type }) => [name, exampleValue(type)]))
}

/** An entity of a service that has rows, as far as there are any. */
export async function entityWithRows(
  db: Database,
  service: ServicePlan,
): Promise<{ readonly entity: Readonly<Record<string, unknown>>; readonly visibleAt: number | null }> {
  const known: Record<string, unknown> = {}
  let visibleAt: number | null = null
  for (const { plan, key } of service.uses) {
    if (key.some((column) => Object.hasOwn(known, column))) continue
    const stored = await storedEntity(db, plan)
    if (stored === null) continue
    for (const [i, column] of key.entries()) known[column] = stored.key[plan.key[i]?.name ?? '']
    if (stored.visibleAt !== null) visibleAt = Math.max(visibleAt ?? stored.visibleAt, stored.visibleAt)
  }
  return { entity: { ...exampleRow([...service.keys, ...service.request]), ...known }, visibleAt }
}

async function tried(
  { features, catalog }: ExampleDeps,
  service: ServicePlan,
  entity: object,
  asOf: string | null,
): Promise<{ readonly problem: string | null; /** How many features have no value. */ readonly absent: number }> {
  try {
    const moment = asOf === null ? {} : { asOf }
    const uncounted = { ...features, reader: (of: Catalog) => withoutMetrics(features.reader(of)) }
    const { rows } = await readEntities(uncounted, catalog, service, { entities: [entity], requestId: 'example', ...moment })
    return { problem: null, absent: rows.flatMap(({ statuses }) => statuses.filter((status) => status !== Status.present)).length }
  } catch (error) {
    if (error instanceof LockstepError) return { problem: `${error.code}: ${error.message}`, absent: Number.POSITIVE_INFINITY }
    throw error
  }
}

/** No client asked for it. */
function withoutMetrics(reader: FeatureReaderDeps): FeatureReaderDeps {
  const { onRead: _, ...rest } = reader
  return rest
}
