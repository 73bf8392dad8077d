import { z } from 'zod'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { featuresOf } from '../../../registry/find/definition-details.ts'
import { entriesOf } from '../../../registry/find/entry.ts'
import type { Inventory } from '../../../registry/find/inventory.ts'
import { search } from '../../../registry/find/search.ts'
import { championAlias } from '../../../registry/models/model-aliases.ts'
import type { CatalogIndex, SearchResults } from '../contract/catalog.ts'
import { catalogIndex, searchResults } from '../contract/catalog.ts'
import { registryNotes, registryAtMoment } from '../past-registry.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'

/** More features than this are searched on the server. */
const maxFeatures = 20_000

export const catalogModel = readModel({
  path: '/catalog/index',
  scope: 'ui:read',
  data: catalogIndex,
  async read(ask) {
    const { inventory, past } = await registryAtMoment(ask)
    return { data: { ...indexOf(inventory), rollouts: await modelsWithRollout(ask) }, notes: registryNotes(past) }
  },
})

export const searchModel = readModel({
  path: '/search',
  scope: 'ui:read',
  query: z.object({
    q: z.string().min(1).max(500),
    limit: z.coerce.number().int().min(1).max(200).optional(),
  }),
  data: searchResults,
  async read(ask) {
    const {
      deps,
      query: { q, limit = 30 },
    } = ask
    const found = search((await registryAtMoment(ask)).inventory, q, limit)
    const data: SearchResults = {
      results: found.map(({ kind, name, view, matched, text, about, owner }) => ({ kind, name, view, matched, text, about, owner })),
      explain: explainIn(q, deps.catalog()),
    }
    return { data }
  },
})

/** Those that have had a rollout until the moment of the page. */
async function modelsWithRollout({ db, now, isPast }: Ask): Promise<string[]> {
  const until = isPast ? new Date(now / 1000) : null
  const found = await db.query<{ model: string }>(
    'select distinct model from lockstep.rollouts where started_at <= coalesce($1::timestamptz, started_at) order by model',
    [until],
  )
  return found.map(({ model }) => model)
}

const indexOf = memoizeWeak((inventory: Inventory): Omit<CatalogIndex, 'rollouts'> => {
  const entries = entriesOf(inventory)
  const champions = new Map(inventory.aliases.filter(({ alias }) => alias === championAlias).map(({ model, version }) => [model, version]))
  const newest = new Map(inventory.definitions.filter(({ retired }) => !retired).map((each) => [`${each.kind} ${each.name}`, each]))
  const features = entries.flatMap(({ kind, name }, i) => {
    const definition = newest.get(`${kind} ${name}`)
    if (definition?.kind !== 'view' && definition?.kind !== 'onDemand') return []
    return featuresOf(definition).map((each): CatalogIndex['features'][number] => [each.name, each.type, i, each.computed])
  })
  return {
    entries: entries.map(({ kind, name, version, about, owner, tags, description }) => [
      kind,
      name,
      (kind === 'model' ? champions.get(name) : undefined) ?? version,
      about,
      owner,
      [...tags],
      description,
    ]),
    features: features.slice(0, maxFeatures),
    total: features.length,
    isCut: features.length > maxFeatures,
  }
})

/** `airport:ATL`, `route:ATL,JFK`, with or without `@ 2001-03-04T10:00`; null: the text names no entity. */
function explainIn(text: string, { entities }: Catalog): SearchResults['explain'] {
  const [, name = '', values = '', moment] = /^\s*([\w-]+)\s*:\s*([^@]+?)\s*(?:@\s*(\S.*?))?\s*$/.exec(text) ?? []
  const entity = entities.get(name)
  if (entity === undefined) return null
  const parts = entity.key.length === 1 ? [values] : values.split(',').map((part) => part.trim())
  if (parts.length !== entity.key.length) return null
  return { entity: name, key: Object.fromEntries(entity.key.map((column, i) => [column.name, parts[i] ?? ''])), asOf: moment ?? null }
}
