import { z } from 'zod'
import { LockstepError } from '../../../../kernel/errors.ts'
import type { DefinitionScope } from '../../../../registry/definition.ts'
import { kindOrder, labelOf } from '../../../../registry/definition.ts'
import type { Entry } from '../../../../registry/find/entry.ts'
import { entriesOf, entryKinds, filterEntries } from '../../../../registry/find/entry.ts'
import { findNode, plurals } from '../../../../registry/find/find-entry.ts'
import type { LineageDirection } from '../../../../registry/find/graph.ts'
import { graphOf, lineageOf, nodeKinds } from '../../../../registry/find/graph.ts'
import type { Inventory } from '../../../../registry/find/inventory.ts'
import { maxFound, search } from '../../../../registry/find/search.ts'
import { readVersion } from '../../../../runtime/version.ts'
import type { ServingContext } from '../../../context.ts'
import { definitionPage } from '../../../find/definition-page.ts'
import { inventoryOf } from '../../../find/inventory-of.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { jsonAnswer, nameInPath } from '../call.ts'
import { checkedRoute } from '../checked-route.ts'
import { definitionAnswer, entriesAnswer, lineageAnswer, searchAnswer } from './find-schemas.ts'
import type { Route } from '../route.ts'

const defaultLimit = 100
const maxLimit = 1000

const listQuery = z.object({
  owner: z.string().optional().describe('Only what this owner owns'),
  tag: z.string().optional().describe('Only what has this tag'),
  limit: z.coerce.number().int().min(1).max(maxLimit).optional().describe(`The maximum number. Default: ${defaultLimit}`),
  cursor: z.string().optional().describe('`next` of the previous answer, for the page after it'),
})
const oneQuery = z.object({ version: z.coerce.number().int().min(1).optional().describe('The version. Default: the newest') })
const viewQuery = oneQuery.extend({
  kind: z.enum(['view', 'onDemand']).optional().describe('Needed only if a feature view and an on-demand view have the same name'),
})
const entriesQuery = listQuery.extend({ kind: z.enum(entryKinds).optional().describe('Only what is of this kind') })
const entryQuery = oneQuery.extend({
  kind: z.enum(kindOrder).optional().describe('Needed only if definitions of several kinds have the name'),
})
const searchQuery = z.object({
  q: z.string().min(1).describe('The text to find, in any case. Of several words, each must occur'),
  limit: z.coerce.number().int().min(1).max(maxFound).optional().describe('The maximum number of results. Default: 20'),
})
const lineageQuery = z.object({
  direction: z.enum(['up', 'down', 'both']).optional().describe('up: what it is made from; down: what is made from it. Default: both'),
})

/** By plural: what one is called, for the summary, and the parameters of both. */
const listed = [
  { plural: 'entities', one: 'entity' },
  { plural: 'sources', one: 'source' },
  { plural: 'views', one: 'feature view or on-demand view', oneQuery: viewQuery },
  { plural: 'services', one: 'feature service' },
  { plural: 'outcomes', one: 'outcome' },
  { plural: 'entries', one: 'definition of any kind', query: entriesQuery, oneQuery: entryQuery },
]

/**
 * The routes that find features: lists, definitions, search and lineage. A process reads a changed registry again.
 */
export const findRoutes: readonly Route[] = [
  ...listed.flatMap(({ plural, one, query = listQuery, oneQuery: ofOne = oneQuery }) => [
    checkedRoute({
      method: 'GET',
      path: `/v1/${plural}`,
      scope: 'read',
      summary: `The ${plural} of the registry, by name, with what uses them`,
      tag: 'Find',
      query,
      answer: entriesAnswer(plural),
      handle: (call, deps, { query: asked }) => unlessKnown(call, deps, 'current', (inventory) => listAnswer(asked, inventory, plural)),
    }),
    checkedRoute({
      method: 'GET',
      path: `/v1/${plural}/:name`,
      scope: 'read',
      summary: `One ${one}, with statistics, users and an example`,
      tag: 'Find',
      query: ofOne,
      answer: definitionAnswer,
      handle: (call, deps, { query: asked }) => answerDefinition(call, deps, plural, asked),
    }),
  ]),
  checkedRoute({
    method: 'GET',
    path: '/v1/search',
    scope: 'read',
    summary: 'Names, features, columns, tags, owners, descriptions and transforms that have a text, best first',
    tag: 'Find',
    query: searchQuery,
    answer: searchAnswer,
    handle: (call, deps, { query: { q, limit = 20 } }) =>
      unlessKnown(call, deps, 'current', (inventory) => ({ results: search(inventory, q, limit) })),
  }),
  checkedRoute({
    method: 'GET',
    path: '/v1/lineage/:kind/:name',
    scope: 'read',
    summary: 'What something is made from, and what is made from it',
    description: `The kind is one of ${nodeKinds.join(', ')}, or any if only one thing has the name. The name of a version is as in \`airport_delays@1\`; without a version it is the newest.`,
    tag: 'Find',
    query: lineageQuery,
    answer: lineageAnswer,
    handle: (call, deps, { query: { direction = 'both' } }) =>
      unlessKnown(call, deps, 'all', (inventory) => lineageOfCall(call, inventory, direction)),
  }),
]

/** Another version may answer otherwise. */
const ownVersion = readVersion()

/** Answers 304 to a client that has what the registry is now. */
async function unlessKnown(
  call: Call,
  deps: ServingContext,
  scope: DefinitionScope,
  answer: (inventory: Inventory) => object,
): Promise<RouteAnswer> {
  const inventory = await inventoryOf(deps, scope)
  const tag = `W/"${ownVersion}.${inventory.mark}"`
  const headers = { etag: tag, 'cache-control': 'private, no-cache' }
  const known = call.incoming.headers['if-none-match'] ?? ''
  const body = answer(inventory)
  if (known.split(',').some((each) => each.trim() === tag || each.trim() === '*')) return { status: 304, body: null, headers }
  return { ...jsonAnswer(call, body), headers }
}

function listAnswer(asked: z.output<typeof entriesQuery>, inventory: Inventory, plural: string): object {
  const { owner, tag, limit = defaultLimit, cursor, kind } = asked
  const kinds = plural === 'entries' ? (kind === undefined ? undefined : [kind]) : plurals[plural]
  const entries = filterEntries(entriesOf(inventory), { kinds, owner, tags: tag === undefined ? [] : [tag] })
  const from = cursor === undefined ? 0 : startOf(entries, cursor)
  const page = entries.slice(from, from + limit)
  const last = page.at(-1)
  const isEnd = last === undefined || last === entries.at(-1)
  return { [plural]: page, next: isEnd ? null : cursorOf(last) }
}

/**
 * After the last entry of the page before; if that is gone, where it was, as definitions are in the order of cursors.
 */
function startOf(entries: readonly Entry[], cursor: string): number {
  if (!/^\d\./.test(cursor)) {
    throw new LockstepError('INVALID_REQUEST', 'The query of the URL has an invalid "cursor"; send `next` of the previous answer.')
  }
  const last = entries.findIndex((entry) => cursorOf(entry) === cursor)
  if (last >= 0) return last + 1
  const next = entries.findIndex((entry) => cursorOf(entry) > cursor)
  return next < 0 ? entries.length : next
}

function cursorOf({ kind, name }: Entry): string {
  return `${entryKinds.indexOf(kind)}.${name}`
}

async function answerDefinition(
  call: Call,
  deps: ServingContext,
  plural: string,
  { version, kind }: z.output<typeof entryQuery>,
): Promise<RouteAnswer> {
  const inventory = await inventoryOf(deps, 'all')
  const name = nameInPath(call)
  const kinds = (plurals[plural] ?? kindOrder).filter((each) => kind === undefined || each === kind)
  const node = findNode(inventory, version === undefined ? name : `${name.replace(/@\d+$/, '')}@${version}`, kinds)
  const definition = inventory.definitions.find((each) => each.kind === node.kind && labelOf(each) === node.name)
  if (definition === undefined) throw new LockstepError('INTERNAL', `The ${node.kind} "${node.name}" is in no definition.`)
  const page = await definitionPage(
    { db: deps.upkeep.database(), catalog: deps.readCatalog(), features: deps, store: deps.upkeep.store, now: deps.clock() },
    inventory,
    definition,
  )
  return jsonAnswer(call, page)
}

function lineageOfCall(call: Call, inventory: Inventory, direction: LineageDirection): object {
  const { kind: asked = '', name = '' } = call.params
  const kinds = asked === 'any' ? nodeKinds : nodeKinds.filter((each) => each === asked)
  if (kinds.length === 0) {
    throw new LockstepError('INVALID_REQUEST', `There is no kind "${asked}"; write one of ${nodeKinds.join(', ')}, or any.`, {
      details: { kind: asked },
    })
  }
  return lineageOf(graphOf(inventory), findNode(inventory, name, kinds), direction)
}
