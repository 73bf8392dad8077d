import type { CatalogIndex, SearchResults } from '../../serving/dashboard/contract/catalog.ts'
import { readEveryMs } from './read-every.ts'
import { useRead } from './use-read.ts'

/** A thing that has a name. */
export interface Entry {
  readonly kind: string
  /** What its page's address ends with. */
  readonly id: string
  readonly name: string
  readonly about: string
  readonly owner: string | null
  readonly tags: readonly string[]
  readonly description: string | null
  /** All of its words in lower case, to search in. */
  readonly words: string
}

const known = new WeakMap<CatalogIndex, readonly Entry[]>()

/** All definitions and features, by one read for the whole dashboard. */
export function useIndex(): { entries: readonly Entry[] | undefined; read: ReturnType<typeof useRead<CatalogIndex>> } {
  const read = useRead<CatalogIndex>('catalog/index', { everyMs: readEveryMs.hour })
  const index = read.data?.data
  return { read, entries: index === undefined ? undefined : entriesOf(index) }
}

function entriesOf(index: CatalogIndex): readonly Entry[] {
  let entries = known.get(index)
  if (entries !== undefined) return entries
  const things = index.entries.map(([kind, name, version, about, owner, tags, description]): Entry => {
    const id = version === null ? name : `${name}@${version}`
    const words = [id, kind, about, owner ?? '', ...tags, description ?? ''].join(' ').toLowerCase()
    return { kind, id, name: id, about, owner, tags, description, words }
  })
  const features = index.features.map(([name, type, at, computed]): Entry => {
    const view = things[at]
    const id = `${view?.id ?? ''}.${name}`
    const words = [id, 'feature', type, computed, ...(view?.tags ?? []), view?.owner ?? ''].join(' ').toLowerCase()
    return {
      kind: 'feature',
      id,
      name,
      about: `${computed}, ${type}`,
      owner: view?.owner ?? null,
      tags: view?.tags ?? [],
      description: view?.id ?? null,
      words,
    }
  })
  // a rollout has the name of its model
  const withRollout = new Set(index.rollouts)
  const rollouts = things.flatMap((model): readonly Entry[] => {
    const name = model.id.split('@')[0] ?? model.id
    if (model.kind !== 'model' || !withRollout.has(name)) return []
    return [
      {
        ...model,
        kind: 'rollout',
        id: name,
        name,
        about: 'The running or last rollout of this model',
        words: `${model.words} rollout`,
      },
    ]
  })
  entries = [...things, ...rollouts, ...features]
  known.set(index, entries)
  return entries
}

/** The entries that have all words of a text, those whose name begins with it first. */
export function search(entries: readonly Entry[], text: string): readonly Entry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const [first] = words
  if (first === undefined) return entries
  const found = entries.filter((entry) => words.every((word) => entry.words.includes(word)))
  const rank = ({ name }: Entry): number => (name.toLowerCase().startsWith(first) ? 0 : name.toLowerCase().includes(first) ? 1 : 2)
  return found.toSorted((a, b) => rank(a) - rank(b))
}

/** Characters of a question that the server takes. */
const maxQuestion = 500

/** The features that the server finds, where the index does not have all of them. */
export function useMoreFeatures(text: string): readonly Entry[] {
  const { read: index } = useIndex()
  const enabled = index.data?.data.isCut === true && text !== ''
  const question = encodeURIComponent(text.slice(0, maxQuestion))
  const { data, isPlaceholderData } = useRead<SearchResults>(`search?q=${question}`, { enabled, everyMs: false })
  if (!enabled || data === undefined || isPlaceholderData) return []
  return data.data.results.flatMap(({ kind, name, view, about, owner }) =>
    kind === 'feature' && view !== null
      ? [{ kind, id: `${view}.${name}`, name, about, owner, tags: [], description: view, words: '' }]
      : [],
  )
}

const names: Readonly<Record<string, string>> = {
  view: 'Feature view',
  onDemand: 'On-demand view',
  service: 'Feature service',
  dataset: 'Training set',
  modelVersion: 'Model version',
}

/** The name of a kind, as headings say it. */
export function kindName(kind: string): string {
  return names[kind] ?? kind.slice(0, 1).toUpperCase() + kind.slice(1)
}
