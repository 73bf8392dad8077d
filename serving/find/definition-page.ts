import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import { readViews } from '../../monitoring/freshness/freshness-reader.ts'
import { freshnessJson } from '../../monitoring/freshness/view-freshness.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Definition } from '../../registry/definition.ts'
import { definitionKey, labelOf } from '../../registry/definition.ts'
import type { DefinitionDetails, FeatureDetails, NamedType } from '../../registry/find/definition-details.ts'
import { definitionDetails } from '../../registry/find/definition-details.ts'
import { graphOf, lineageOf } from '../../registry/find/graph.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import type { RowEstimate } from '../../registry/changes/row-estimate.ts'
import { estimateRows } from '../../registry/changes/row-estimate.ts'
import { storedEntity } from '../../offline/stored-entity.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sourceRelation, sqlState } from '../../runtime/postgres/relation.ts'
import type { Example, ExampleDeps } from './example.ts'
import { exampleEntity, explainExample, featuresExample, predictExample } from './example.ts'
import { exampleValue } from './example-value.ts'
import type { FeatureStatistics } from './last-statistics.ts'
import { lastStatistics } from './last-statistics.ts'

/** All about one definition: what the registry says, what is stored, and how to ask for it. Plain JSON. */
export interface DefinitionPage extends Omit<DefinitionDetails, 'features'> {
  readonly features?: readonly (FeatureDetails & { readonly statistics: FeatureStatistics | null })[]
  /** For a service or model: the fields of each entity in a request, key and request data. */
  readonly takes?: readonly NamedType[]
  /** For an online view: whether the online store can answer, and how fresh it is. */
  readonly online?: OnlineState
  /** For a source: how many rows it has; null: it cannot be read. */
  readonly rows?: RowEstimate | null
  /** For a view: its transform as the registry stores it; null: it has none. */
  readonly code?: string | null
  /** Why it cannot be used; null: it can. */
  readonly broken: string | null
  /** null: nothing can be asked of it. */
  readonly example: Example | null
}

export interface OnlineState {
  /** Whether the online store holds the view completely. */
  readonly ready: boolean
  /** Why not, and what to do. */
  readonly problem: string | null
  /** null: the online store does not answer. */
  readonly freshness: ReturnType<typeof freshnessJson> | null
}

export interface PageDeps extends ExampleDeps {
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly store: () => OnlineStore | Promise<OnlineStore>
  /** Epoch microseconds. */
  readonly now: number
  /** Whether `now` is past: what is known of the present alone is left out. Default: false. */
  readonly isPast?: boolean
  /** Parts to leave out. Each reads rows of sources, and tables of users may have no index for that. */
  readonly without?: readonly ('example' | 'online')[]
}

/** @param definition one of the inventory */
export async function definitionPage(deps: PageDeps, inventory: Inventory, definition: Definition): Promise<DefinitionPage> {
  const { features, ...details } = definitionDetails(inventory, definition)
  const statistics = features === undefined ? new Map() : await lastStatistics(deps.db, inventory, definition)
  return {
    ...details,
    ...(features === undefined
      ? {}
      : { features: features.map((feature) => ({ ...feature, statistics: statistics.get(feature.name) ?? null })) }),
    ...(await storedFacts(deps, inventory, definition)),
    broken: deps.isPast === true ? null : (deps.catalog.broken.get(definitionKey(definition))?.message ?? null),
    example: definition.retired || deps.without?.includes('example') === true ? null : await exampleOf(deps, inventory, definition),
  }
}

async function storedFacts(
  deps: PageDeps,
  inventory: Inventory,
  definition: Definition,
): Promise<Pick<DefinitionPage, 'takes' | 'online' | 'rows' | 'code'>> {
  if (definition.kind === 'service' || definition.kind === 'model') {
    const service = deps.catalog.services.get(definition.kind === 'model' ? definition.spec.service : definitionId(definition))
    if (service === undefined) return {}
    const columns = new Map([...service.keys, ...service.request].map(({ name, type }) => [name, typeName(type)]))
    return { takes: [...columns].map(([name, type]) => ({ name, type })) }
  }
  if (definition.kind === 'source') return deps.isPast === true ? {} : { rows: await rowsOf(deps.db, definition.spec) }
  if (definition.kind !== 'view' && definition.kind !== 'onDemand' && definition.kind !== 'outcome') return {}
  const code = { code: inventory.code.get(definition.spec.code ?? '') ?? null }
  const plan = definition.kind === 'view' ? planOf(deps, definition) : undefined
  return plan === undefined || deps.isPast === true || deps.without?.includes('online') === true || !deps.catalog.online.has(plan.id)
    ? code
    : { ...code, online: await onlineState(deps, plan) }
}

function planOf({ catalog }: PageDeps, { name, version }: Definition): ViewPlan | undefined {
  return catalog.views.get(`${name}@${version}`)
}

async function rowsOf(db: Database, source: Extract<Definition, { kind: 'source' }>['spec']): Promise<RowEstimate | null> {
  try {
    return await estimateRows(db.kysely, sourceRelation(source), source.relation.kind === 'sql')
  } catch (error) {
    // the table is missing, or may not be read
    if (sqlState(error).startsWith('42')) return null
    throw error
  }
}

async function onlineState({ db, store, now }: PageDeps, plan: ViewPlan): Promise<OnlineState> {
  try {
    const open = await store()
    const [lack] = await findIncompleteViews({ ...open, owner: createCheckpointOwner(() => db) }, [plan])
    const [freshness] = await readViews(db, open, [plan], now)
    return {
      ready: lack === undefined,
      problem: lack?.problem ?? null,
      freshness: freshness === undefined ? null : freshnessJson(freshness),
    }
  } catch (error) {
    if (error instanceof LockstepError && (error.code === 'REDIS_UNAVAILABLE' || error.code === 'NOT_READY'))
      return { ready: false, problem: messageOf(error), freshness: null }
    throw error
  }
}

const withoutExample: ReadonlySet<Definition['kind']> = new Set(['source', 'outcome', 'experiment', 'batch', 'pipeline', 'training'])

async function exampleOf(deps: PageDeps, inventory: Inventory, definition: Definition): Promise<Example | null> {
  const { catalog } = deps
  if (withoutExample.has(definition.kind)) return null
  const service = definition.kind === 'model' ? catalog.services.get(definition.spec.service) : serviceOf(deps, inventory, definition)
  if (service !== undefined) {
    if (definition.kind !== 'model') return featuresExample(service.id, await exampleEntity(deps, service))
    return inventory.versions.some(({ model }) => model === definition.name)
      ? predictExample(definition.name, await exampleEntity(deps, service))
      : null
  }
  const plan = definition.kind === 'view' ? planOf(deps, definition) : undefined
  if (plan === undefined) return null
  const stored = await storedEntity(deps.db, plan)
  const key = stored?.key ?? Object.fromEntries(plan.key.map(({ name, type }) => [name, exampleValue(type)]))
  return explainExample(plan.id, key, stored === null || stored.visibleAt === null ? null : formatTimestamp(stored.visibleAt))
}

/** The newest service that has it: itself, or one that is made from it. */
function serviceOf({ catalog }: PageDeps, inventory: Inventory, definition: Definition): ServicePlan | undefined {
  const graph = graphOf(inventory)
  const node = { kind: definition.kind, name: labelOf(definition), retired: definition.retired }
  const services = lineageOf(graph, node, 'down').nodes.filter(({ kind, retired }) => kind === 'service' && !retired)
  const plans = services.flatMap(({ name }) => [...catalog.services.values()].filter(({ id }) => id === name))
  return plans.toSorted((a, b) => a.version - b.version).at(-1)
}
