import { cutText } from '../../kernel/values/cut-text.ts'
import { nearest } from '../../kernel/did-you-mean.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { Definition } from '../definition.ts'
import { codeOf } from '../definition.ts'
import { featuresOf } from './definition-details.ts'
import type { Entry, EntryKind } from './entry.ts'
import { entriesOf } from './entry.ts'
import type { Inventory } from './inventory.ts'

/** One result of a search: an entry, or a feature of a view. */
export interface Found {
  readonly kind: EntryKind | 'feature'
  readonly name: string
  /** Of a feature: the newest version of its view, `airport_delays@2`. */
  readonly view: string | null
  /** Which text was found. */
  readonly matched: Field
  /** That text; of a long one, the part around the match. */
  readonly text: string
  /** Of a feature: how it is computed; else what it is, in a few words. */
  readonly about: string
  readonly description: string | null
  readonly owner: string | null
}

export const fields = ['name', 'tag', 'owner', 'column', 'description', 'code'] as const
export type Field = (typeof fields)[number]

/** The results of a search never exceed this number. */
export const maxFound = 1000
const excerptLength = 80

/**
 * Finds entries and features by text, in any case. Best first: the exact name, names that begin with it, names with it
 * as a word, then words of other fields, then any place within a name or another field. If nothing contains it, names
 * that are spelled similarly. Of several words, each must be found.
 */
export function search(inventory: Inventory, text: string, limit: number): Found[] {
  const wanted = text.trim().toLowerCase()
  if (wanted === '') return []
  const words = wanted.split(/\s+/)
  const documents = documentsOf(inventory)
  const ranked = documents.flatMap((document) => {
    const best = bestMatch(document.texts, wanted) ?? allWords(document.texts, words)
    return best === null ? [] : [{ document, ...best }]
  })
  // the order of documents is by kind and name, and a sort keeps it
  const found = ranked.toSorted((a, b) => a.rank - b.rank).map(({ document, field }) => foundOf(document, field, words))
  return (found.length > 0 ? found : similar(documents, wanted)).slice(0, limit)
}

interface Document {
  readonly entry: Entry
  readonly kind: Found['kind']
  readonly name: string
  readonly view: string | null
  readonly about: string
  readonly texts: readonly Text[]
}

interface Text {
  readonly field: Field
  readonly text: string
  readonly lower: string
  /** The same with a space between the words of `meanDelay6h`. */
  readonly spaced: string
}

const documentsOf = memoizeWeak((inventory: Inventory): readonly Document[] => {
  const newest = new Map(inventory.definitions.filter(({ retired }) => !retired).map((each) => [`${each.kind} ${each.name}`, each]))
  const entries = entriesOf(inventory).map((entry): Document => {
    const definition = newest.get(`${entry.kind} ${entry.name}`)
    const texts = [
      textOf('name', entry.name),
      ...entry.tags.map((tag) => textOf('tag', tag)),
      ...(entry.owner === null ? [] : [textOf('owner', entry.owner)]),
      ...columnsOf(definition).map((column) => textOf('column', column)),
      ...(entry.description === null ? [] : [textOf('description', entry.description)]),
      ...(definition === undefined ? [] : [inventory.code.get(codeOf(definition) ?? '')]).flatMap((code) =>
        code === undefined ? [] : [textOf('code', code)],
      ),
    ]
    return { entry, kind: entry.kind, name: entry.name, view: null, about: entry.about, texts }
  })
  const features = entriesOf(inventory).flatMap((entry) => {
    const definition = newest.get(`${entry.kind} ${entry.name}`)
    if (definition?.kind !== 'view' && definition?.kind !== 'onDemand') return []
    const view = `${definition.name}@${definition.version}`
    return featuresOf(definition).map(({ name, computed }): Document => ({
      entry,
      kind: 'feature',
      name,
      view,
      about: computed,
      texts: [textOf('name', name)],
    }))
  })
  return [...entries, ...features]
})

function textOf(field: Field, text: string): Text {
  return { field, text, lower: text.toLowerCase(), spaced: text.replace(/([a-z])(?=[A-Z0-9])/g, '$1 ').toLowerCase() }
}

function columnsOf(definition: Definition | undefined): string[] {
  switch (definition?.kind) {
    case 'entity':
      return definition.spec.key.map(({ name }) => name)
    case 'source':
      return [...definition.spec.key.map(({ column }) => column), ...definition.spec.columns.map(({ name }) => name)]
    case 'view':
      return definition.spec.derive.map(({ name }) => name)
    case 'onDemand':
      return definition.spec.request.map(({ name }) => name)
    case 'model':
      return definition.spec.output.map(({ name }) => name)
    default:
      return []
  }
}

interface Match {
  /** Less is better. */
  readonly rank: number
  readonly field: Field
}

function bestMatch(texts: readonly Text[], wanted: string): Match | null {
  let best: Match | null = null
  for (const text of texts) {
    const { field } = text
    const rank = rankOf(text, wanted)
    if (rank !== null && (best === null || rank < best.rank)) best = { rank, field }
  }
  return best
}

/** Every word somewhere: as good as the worst of them. */
function allWords(texts: readonly Text[], words: readonly string[]): Match | null {
  if (words.length < 2) return null
  const matches = words.map((word) => bestMatch(texts, word))
  let worst: Match | null = null
  for (const match of matches) {
    if (match === null) return null
    if (worst === null || match.rank > worst.rank) worst = match
  }
  return worst
}

function rankOf({ field, lower, spaced }: Text, wanted: string): number | null {
  const at = lower.indexOf(wanted)
  if (at < 0) return null
  const isName = field === 'name'
  if (isName && lower === wanted) return 0
  if (isName && at === 0) return 1
  const isLast = field === 'code'
  if (isWord(lower, wanted) || isWord(spaced, wanted)) return isName ? 2 : isLast ? 7 : 3 + fields.indexOf(field) / 10
  return isName ? 4 : isLast ? 8 : 5 + fields.indexOf(field) / 10
}

function isWord(lower: string, wanted: string): boolean {
  const isLetter = (character: string | undefined): boolean => character !== undefined && /[\p{L}\p{N}]/u.test(character)
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, at + 1)) {
    if (!isLetter(lower[at - 1]) && !isLetter(lower[at + wanted.length])) return true
  }
  return false
}

function foundOf({ entry, kind, name, view, about, texts }: Document, field: Field, words: readonly string[]): Found {
  const { description, owner } = entry
  const text = texts.find((each) => each.field === field && words.some((word) => each.lower.includes(word)))
  return { kind, name, view, matched: field, text: excerpt(text?.text ?? '', words[0] ?? ''), about, description, owner }
}

function excerpt(text: string, word: string): string {
  const at = text.toLowerCase().indexOf(word)
  const from = text.length <= excerptLength || at < excerptLength / 2 ? 0 : at - 20
  return cutText(`${from > 0 ? '…' : ''}${text.slice(from)}`, excerptLength)
}

/** Names that were probably meant, at most ten. */
function similar(documents: readonly Document[], wanted: string): Found[] {
  const names = new Set(documents.map(({ name }) => name))
  const found: Found[] = []
  for (let name = nearest(wanted, names); name !== null && found.length < 10; name = nearest(wanted, names)) {
    names.delete(name)
    const meant = name
    found.push(...documents.filter((each) => each.name === meant).map((each) => foundOf(each, 'name', [meant.toLowerCase()])))
  }
  return found
}
