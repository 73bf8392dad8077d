import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { DefinitionScope } from '../../registry/definition.ts'
import { kindOrder, labelOf } from '../../registry/definition.ts'
import { entriesOf, filterEntries } from '../../registry/find/entry.ts'
import { findNode } from '../../registry/find/find-entry.ts'
import { graphOf, lineageOf } from '../../registry/find/graph.ts'
import type { Inventory } from '../../registry/find/inventory.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import { search } from '../../registry/find/search.ts'
import type { FeatureRead } from '../../serving/features/read-features.ts'
import { readEntities } from '../../serving/features/read-request.ts'
import { definitionPage } from '../../serving/find/definition-page.ts'
import { jsonCanSay } from '../../serving/value-text.ts'
import type { Context } from '../context.ts'
import type { EntityValues, Finder, ReadFeatures } from './finder.ts'
import { createReadingContext } from './reading-context.ts'

/** Finds by the database and the online store. */
export function createLocalFinder(context: Context): Finder {
  const inventory = async (scope: DefinitionScope): Promise<Inventory> => await readInventory(await context.database(), scope)
  return {
    entries: async (filter) => filterEntries(entriesOf(await inventory('current')), filter),
    search: async (text, limit) => search(await inventory('current'), text, limit),
    async lineage(reference, direction) {
      const now = await inventory('all')
      return lineageOf(graphOf(now), findNode(now, reference), direction)
    },
    async page(reference) {
      const now = await inventory('all')
      const { kind, name } = findNode(now, reference, kindOrder)
      const definition = now.definitions.find((each) => each.kind === kind && labelOf(each) === name)
      if (definition === undefined) throw new LockstepError('INTERNAL', `The ${kind} "${name}" is in no definition.`)
      const { catalog, features, store } = await createReadingContext(context, await context.catalog())
      return await definitionPage({ db: await context.database(), catalog, features, store, now: Date.now() * 1000 }, now, definition)
    },
    async features({ service: reference, entities: entitiesOf, asOf }) {
      const { catalog, features } = await createReadingContext(context, await context.catalog())
      const service = catalog.service(reference)
      const types = typesOf([...service.keys, ...service.request])
      const entities = entitiesOf({ service: service.id, keys: service.keys.map(({ name }) => name), types })
      const moment = asOf === undefined ? {} : { asOf }
      return readJson(service, entities, await readEntities(features, catalog, service, { entities, requestId: 'command line', ...moment }))
    },
  }
}

function typesOf(columns: ServicePlan['features'] | ServicePlan['keys'] | ServicePlan['request']): Record<string, string> {
  return Object.fromEntries(columns.map(({ name, type }) => [name, typeName(type)]))
}

function readJson(service: ServicePlan, entities: readonly EntityValues[], { rows, asOf, skewed, late }: FeatureRead): ReadFeatures {
  const { name, version, fingerprint, features } = service
  const byName = <T>(value: (f: number) => T): Record<string, T> =>
    Object.fromEntries(features.map((feature, f) => [feature.name, value(f)]))
  return {
    service: name,
    version,
    fingerprint,
    asOf: formatTimestamp(asOf),
    ...(skewed ? { skewed } : {}),
    ...(late.length > 0 ? { late } : {}),
    types: typesOf(features),
    results: rows.map(({ values, statuses, eventTimes }, e) => ({
      ...(entities[e] === undefined ? {} : { entity: entities[e] }),
      features: Object.fromEntries(features.map((feature, f) => [feature.name, valueToJson(feature.type, values[f] ?? null)])),
      statuses: byName((f) => statusText(statuses[f] ?? Status.present, values[f] ?? null)),
      eventTimes: byName((f) => timeText(eventTimes[f] ?? null)),
    })),
  }
}

/** The status as a server answers it: a value that JSON cannot hold is INVALID. */
function statusText(status: Status, value: Value | null): string {
  return statusNames[jsonCanSay(value) ? status : Status.invalid]
}

function timeText(micros: number | null): string | null {
  return micros === null ? null : formatTimestamp(micros)
}
