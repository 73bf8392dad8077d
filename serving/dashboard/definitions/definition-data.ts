import { durationText, parseDuration } from '../../../kernel/values/duration.ts'
import { formatTimestamp } from '../../../kernel/values/time.ts'
import type { DefinitionId } from '../../../kernel/specs/view-spec.ts'
import { storedEntity } from '../../../offline/stored-entity.ts'
import type { Definition } from '../../../registry/definition.ts'
import { labelOf } from '../../../registry/definition.ts'
import type { EntryKind, Use } from '../../../registry/find/entry.ts'
import { nodeNames } from '../../../registry/find/entry.ts'
import { LockstepError } from '../../../kernel/errors.ts'
import type { DefinitionPage } from '../../find/definition-page.ts'
import { definitionPage } from '../../find/definition-page.ts'
import { entityWithRows } from '../../find/example.ts'
import type { Link } from '../contract/answer.ts'
import type { DefinitionData } from '../contract/definition.ts'
import { findThen } from '../past-registry.ts'
import type { Ask } from '../read-model.ts'

export interface FoundDefinition {
  readonly definition: Definition
  readonly page: DefinitionPage
  readonly data: DefinitionData
  /** What is to say of it as of a past moment. */
  readonly notes: readonly string[]
}

/**
 * What every page of a definition begins with.
 *
 * @param reference `airport_delays@2`, or `airport_delays` for the newest version
 * @param options `online`: whether the page shows how far a view is behind its source, which reads its newest rows
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export async function definitionData(
  ask: Ask,
  reference: string,
  kinds: readonly EntryKind[],
  { online = false }: { readonly online?: boolean } = {},
): Promise<FoundDefinition> {
  const { deps, db, now, isPast } = ask
  const { inventory, node, notes } = await findThen(ask, reference, kinds)
  const definition = inventory.definitions.find((each) => each.kind === node.kind && labelOf(each) === node.name)
  if (definition === undefined) throw new LockstepError('INTERNAL', `The ${node.kind} "${node.name}" is in no definition.`)
  const page = await definitionPage(
    {
      db,
      catalog: deps.readCatalog(),
      features: deps,
      store: deps.upkeep.store,
      now,
      isPast,
      without: online ? ['example'] : ['example', 'online'],
    },
    inventory,
    definition,
  )
  const id = labelOf(definition)
  const data: DefinitionData = {
    kind: definition.kind,
    id,
    description: page.description,
    owner: page.owner,
    tags: [...page.tags],
    facts: factsOf(page),
    parts: partsOf(page, id),
    readers: readersOf(page),
    versions: page.versions.map(({ version, retired }) => ({ id: `${page.name}@${version}`, about: retired ? 'pruned' : '' })).toReversed(),
    code: page.code === undefined || page.code === null ? null : await readable(page.code),
    example: definition.retired ? null : await exampleOf(ask, definition.kind, id),
  }
  return { definition, page, data, notes }
}

/** Only what shows code loads the compiler. */
async function readable(code: string): Promise<string> {
  const { readableCode } = await import('../../../registry/bundle/expression.ts')
  return await readableCode(code)
}

function linkTo({ kind, name }: Use): Link {
  if (kind === 'onDemand') return { kind: 'view', id: name }
  if (kind === 'modelVersion') return { kind: 'model', id: name.split('@')[0] ?? name }
  return { kind, id: name }
}

/** What is made from it, each page once: the versions of a model have the page of the model. */
function readersOf({ usedBy }: DefinitionPage): DefinitionData['readers'] {
  const readers = usedBy.map((use) => ({ link: linkTo(use), about: nodeNames[use.kind] }))
  return readers.filter(
    ({ link }, index) => index === readers.findIndex((other) => other.link.kind === link.kind && other.link.id === link.id),
  )
}

type Fact = DefinitionData['facts'][number]

function factsOf(page: DefinitionPage): Fact[] {
  const facts: Fact[] = []
  const fact = (name: string, value: string | null | undefined, link: Link | null = null): void => {
    if (value !== null && value !== undefined && value !== '') facts.push({ name, value, link })
  }
  const { source, view, onDemand } = page
  if (page.broken !== null) fact('Cannot be used', page.broken)
  if (source !== undefined) {
    fact('Rows', page.rows === null || page.rows === undefined ? null : rowsText(page.rows))
    fact('Table', source.table ?? (source.sql === null ? 'its own table' : 'a query'))
    fact('Query', source.sql)
    fact('Event time', source.eventTime)
    fact('Known time', source.known ?? 'the event time')
    fact(
      'Key',
      Object.entries(source.key)
        .map(([part, column]) => (part === column ? part : `${part} = ${column}`))
        .join(', '),
    )
    fact('Stream', source.stream)
  }
  if (view !== undefined) {
    fact('Entity', view.entity, { kind: 'entity', id: view.entity })
    fact('Source', view.source, { kind: 'source', id: view.source })
    fact('Availability', view.availability)
    fact('Online', view.online ? 'yes' : 'no')
    fact('Freshness bound', view.maxLag === null ? null : durationText(parseDuration(view.maxLag)))
  }
  for (const input of onDemand?.inputs ?? []) fact(`Input ${input.name}`, input.view, { kind: 'view', id: input.view })
  if (page.takes !== undefined) fact('Takes', page.takes.map(({ name, type }) => `${name} ${type}`).join(', '))
  fact('Fingerprint', page.fingerprint.slice(0, 12))
  if (page.retired) fact('State', 'pruned')
  return facts
}

function rowsText({ rows, exact }: NonNullable<DefinitionPage['rows']>): string {
  return `${exact ? '' : 'about '}${rows.toLocaleString('en-US')}`
}

function partsOf({ source, features, takes, kind }: DefinitionPage, id: string): DefinitionData['parts'] {
  if (source !== undefined) return source.columns.map(({ name, type }) => ({ name, type, about: '', link: null }))
  if (features !== undefined) {
    return features.map(({ name, type, computed, view, feature }) => ({
      name,
      type,
      about: computed,
      link: { kind: 'feature', id: `${view ?? id}.${feature ?? name}` },
    }))
  }
  return kind === 'model' ? (takes ?? []).map(({ name, type }) => ({ name, type, about: '', link: null })) : []
}

/** An entity that Explain can be asked about, as JSON; null: nothing of it can be explained. */
async function exampleOf({ db, deps }: Ask, kind: Definition['kind'], id: string): Promise<string | null> {
  if (kind === 'view') {
    const plan = deps.catalog().views.get(id as DefinitionId)
    const stored = plan === undefined ? null : await storedEntity(db, plan)
    return stored === null ? null : JSON.stringify(stored.key)
  }
  const service = kind === 'service' ? deps.catalog().services.get(id as DefinitionId) : undefined
  return service === undefined ? null : JSON.stringify((await entityWithRows(db, service)).entity)
}

export function formatMoment(micros: number | null): string | null {
  return micros === null ? null : formatTimestamp(Math.round(micros))
}
