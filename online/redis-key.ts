import { createHash } from 'node:crypto'
import type { DefinitionId } from '../kernel/view-spec.ts'
import { checkpointEntity } from './store.ts'
import type { OnlineKey } from './store.ts'

/**
 * The key of a state in Redis, and that of a view's checkpoint:
 *
 *     PREFIX:{KEY BYTES}ID
 *     PREFIX:{}~ID
 *
 * The braces are a hash tag, so all views of one entity share a cluster slot. ID is six characters of a hash of
 * VIEW@VERSION: with a million entities the name itself would cost more than a state's header. Two of 200 views share
 * one once in millions of registries; the second is then refused, as their checkpoint is one and of another definition.
 * The last brace separates, as neither an ID nor what stands before it holds one, so binary keys are unambiguous.
 *
 * It is a string, of which the client makes UTF-8: a byte of the entity's key from 0x80 on is two there, which costs a
 * number one byte. An MGET of Buffers takes the client half as much time again as one of strings.
 */
export function redisKey(prefix: string, { view, entity, key }: OnlineKey): string {
  if (entity === checkpointEntity) return `${prefix}:{}~${idOf(view)}`
  // of few parts, as there are many keys in a request
  if (prefix !== lastPrefix) lastStart = `${(lastPrefix = prefix)}:{`
  return lastStart + key + endOf(view)
}

let lastPrefix: string | null = null
let lastStart = ''
/** What keys end with, by view. */
const ends = new Map<DefinitionId, string>()

function endOf(view: DefinitionId): string {
  let end = ends.get(view)
  if (end === undefined) ends.set(view, (end = `}${createHash('sha256').update(view).digest('base64url').slice(0, 6)}`))
  return end
}

function idOf(view: DefinitionId): string {
  return endOf(view).slice(1)
}

/** The pattern of all keys of a view. */
export function redisPattern(prefix: string, view: DefinitionId): string {
  return `${prefix.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)}:{*[}~]${idOf(view)}`
}
