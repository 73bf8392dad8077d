import { createHash } from 'node:crypto'
import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { checkpointEntity } from './store.ts'
import type { OnlineKey } from './store.ts'

/**
 * The key of a state in Redis, and of a view's checkpoint:
 *
 *     PREFIX:{KEY BYTES}ID
 *     PREFIX:{}~ID
 *
 * The braces are a hash tag, so all views of one entity share a cluster slot. ID is six characters of a hash of
 * VIEW@VERSION: with a million entities the name itself would take more space than the headers of the states. Of 200
 * views, two have the same ID in one of millions of registries. Then the second view is refused, because both have the
 * same checkpoint key. The last brace is the separator: neither an ID nor the text after it contains one, so binary
 * keys are unambiguous.
 *
 * The key is a string, which the client encodes as UTF-8: a byte of the entity's key from 0x80 on takes two bytes,
 * which costs one byte for a number. An MGET of Buffers takes the client 1.5 times as long as one of strings.
 */
export function redisKey(prefix: string, { view, entity, key }: OnlineKey): string {
  if (entity === checkpointEntity) return `${prefix}:{}~${idOf(view)}`
  // few concatenations, because a request has many keys
  if (prefix !== lastPrefix) lastStart = `${(lastPrefix = prefix)}:{`
  return lastStart + key + endOf(view)
}

let lastPrefix: string | null = null
let lastStart = ''
/** The end of keys, by view. */
const ends = new Map<DefinitionId, string>()

function endOf(view: DefinitionId): string {
  let end = ends.get(view)
  if (end === undefined) ends.set(view, (end = `}${createHash('sha256').update(view).digest('base64url').slice(0, 6)}`))
  return end
}

function idOf(view: DefinitionId): string {
  return endOf(view).slice(1)
}

/** Finds the keys of a view's states, without its checkpoint. They match `pattern`, so they have this start and end. */
export interface StateKeys {
  readonly pattern: string
  readonly start: string
  readonly end: string
  entityKey(name: string): EntityKey
}

export function stateKeys(prefix: string, view: DefinitionId): StateKeys {
  const [start, end] = [`${prefix}:{`, endOf(view)]
  return { pattern: `${escaped(start)}*${end}`, start, end, entityKey: (name) => name.slice(start.length, -end.length) }
}

/** The pattern of all keys of states and checkpoints. */
export function statesPattern(prefix: string): string {
  return `${escaped(`${prefix}:{`)}*`
}

/** The pattern of all keys of a view. */
export function redisPattern(prefix: string, view: DefinitionId): string {
  return `${escaped(`${prefix}:{`)}*[}~]${idOf(view)}`
}

function escaped(text: string): string {
  return text.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)
}
