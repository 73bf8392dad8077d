import { isRecord } from '../../kernel/is-record.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import type { Entry } from '../../registry/find/entry.ts'
import { filterEntries } from '../../registry/find/entry.ts'
import type { Lineage } from '../../registry/find/graph.ts'
import type { Found } from '../../registry/find/search.ts'
import type { DefinitionPage } from '../../serving/find/definition-page.ts'
import { definitionAnswer, entriesAnswer, lineageAnswer, searchAnswer } from '../../serving/protocols/http/registry/find-schemas.ts'
import { featuresAnswer } from '../../serving/protocols/http/features/feature-schemas.ts'
import type { Server } from '../remote/server.ts'
import type { Finder, ReadFeatures } from './finder.ts'

const pageSize = 1000

/** Finds by a server, over HTTP. */
export function createRemoteFinder(server: Server): Finder {
  const get = async <T>(path: string, is: (json: unknown) => json is T): Promise<T> =>
    await server.ask('GET', path, undefined, { parse: (json) => checked(json, is) })

  const page = async (plural: string, reference: string): Promise<DefinitionPage> => {
    const [kind, name] = parted(reference)
    return withoutRequestId(await get(`/v1/${plural}/${encodeURIComponent(name)}${kind === null ? '' : `?kind=${kind}`}`, isPage))
  }

  return {
    async entries(filter) {
      const entries: Entry[] = []
      let cursor: string | null = ''
      while (cursor !== null) {
        const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
        const answer: Entries = await get(`/v1/entries?limit=${pageSize}${from}`, isEntries)
        entries.push(...answer.entries)
        cursor = answer.next
      }
      return filterEntries(entries, filter)
    },
    page: (reference) => page('entries', reference),
    search: async (text, limit) => (await get(`/v1/search?q=${encodeURIComponent(text)}&limit=${limit}`, isSearch)).results,
    async lineage(reference, direction) {
      const [kind, name] = parted(reference)
      return withoutRequestId(await get(`/v1/lineage/${kind ?? 'any'}/${encodeURIComponent(name)}?direction=${direction}`, isLineage))
    },
    async features({ service, entities: entitiesOf, asOf }) {
      const takes = (await page('services', service)).takes ?? []
      const types = Object.fromEntries(takes.map(({ name, type }) => [name, type]))
      const entities = entitiesOf({ service, keys: takes.map(({ name }) => name), types })
      const body = JSON.stringify({ service, entities, include: ['eventTimes', 'types'], ...(asOf === undefined ? {} : { asOf }) })
      const response = await server.send('POST', '/v1/features', { headers: { 'content-type': 'application/json' }, body })
      if (!response.ok) throw await server.refusal(response)
      // exact beyond 2^53
      const { requestId: _, ...read } = checked(parseJson(await response.text()), isFeatures)
      return {
        ...read,
        results: read.results.map((result, e) => ({ ...result, ...(entities[e] === undefined ? {} : { entity: entities[e] }) })),
      }
    },
  }
}

interface Entries {
  readonly entries: readonly Entry[]
  readonly next: string | null
}
interface Answer {
  readonly requestId: string
}

/** The schemas of the server's answers say that they are these types. */
const entriesSchema = entriesAnswer('entries')
const isEntries = (json: unknown): json is Entries => entriesSchema.safeParse(json).success
const isPage = (json: unknown): json is DefinitionPage & Answer => definitionAnswer.safeParse(json).success
const isSearch = (json: unknown): json is { readonly results: readonly Found[] } => searchAnswer.safeParse(json).success
const isLineage = (json: unknown): json is Lineage & Answer => lineageAnswer.safeParse(json).success
const isFeatures = (json: unknown): json is ReadFeatures & Answer =>
  featuresAnswer.safeParse(json).success && isRecord(json) && isRecord(json['types'])

function checked<T>(json: unknown, is: (json: unknown) => json is T): T {
  if (is(json)) return json
  throw new TypeError('The answer is not what this version expects.')
}

function withoutRequestId<T extends Answer>(answer: T): Omit<T, 'requestId'> {
  const { requestId: _, ...rest } = answer
  return rest
}

/** The kind that stands before a name: `view/airport_delays`. */
function parted(reference: string): [kind: string | null, name: string] {
  const [, kind, name] = /^([A-Za-z]+)\/(.*)$/.exec(reference) ?? []
  return kind === undefined || name === undefined ? [null, reference] : [kind, name]
}
