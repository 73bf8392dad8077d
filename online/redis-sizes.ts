import type { Redis } from 'ioredis'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { scanKeys } from './redis-commands.ts'
import { stateKeys, statesPattern } from './redis-key.ts'
import type { StoreSizes } from './store.ts'

/** All keys are looked at if there are no more. */
const maxListed = 10_000
/** Of more keys, so many random ones are. A view with a tenth of the keys is then within 10 % in 95 of 100 cases. */
const sampledKeys = 4_000
const commandsAtOnce = 500

/**
 * The sizes of views in one Redis or in the primaries of a cluster. Bytes are those of `MEMORY USAGE`: with the key and
 * what Redis needs for both.
 *
 * @throws the client's errors, also where the server forbids a command
 */
export async function readSizes(nodes: readonly Redis[], prefix: string, views: readonly DefinitionId[]): Promise<StoreSizes> {
  const totals = await Promise.all(nodes.map((node) => node.dbsize()))
  const total = totals.reduce((sum, each) => sum + each, 0)
  const isListed = total <= maxListed
  const viewsByEnd = new Map(views.map((view) => [stateKeys(prefix, view).end, view]))
  const byView = new Map(views.map((view) => [view, { states: 0, bytes: 0 }]))
  let sampled = 0
  for (const [n, node] of nodes.entries()) {
    const held = totals[n] ?? 0
    const names = isListed ? await allKeys(node, prefix) : await randomKeys(node, Math.ceil((sampledKeys * held) / total))
    const own = names.flatMap((name) => {
      const view = name.startsWith(`${prefix}:{`) ? viewsByEnd.get(name.slice(name.lastIndexOf('}'))) : undefined
      return view === undefined ? [] : [{ name, view }]
    })
    const weight = isListed || names.length === 0 ? 1 : held / names.length
    const bytes = await inPipelines(node, own, (pipeline, { name }) => pipeline.memory('USAGE', name))
    sampled += names.length
    for (const [i, { view }] of own.entries()) {
      const size = byView.get(view)
      // a key may have been deleted meanwhile
      if (size === undefined || typeof bytes[i] !== 'number') continue
      size.states += weight
      size.bytes += bytes[i] * weight
    }
  }
  for (const size of byView.values()) [size.states, size.bytes] = [Math.round(size.states), Math.round(size.bytes)]
  return { sampled: isListed ? null : sampled, byView }
}

async function allKeys(node: Redis, prefix: string): Promise<string[]> {
  const names = new Set<string>()
  for await (const group of scanKeys(node, { pattern: statesPattern(prefix) })) for (const name of group) names.add(name)
  return [...names]
}

/** As many keys, some of them possibly twice: each is as likely as any other. */
async function randomKeys(node: Redis, count: number): Promise<string[]> {
  const answers = await inPipelines(node, Array.from({ length: count }), (pipeline) => pipeline.randomkey())
  return answers.filter((name) => typeof name === 'string')
}

/** The answers by index. */
async function inPipelines<T>(
  node: Redis,
  all: readonly T[],
  add: (pipeline: ReturnType<Redis['pipeline']>, each: T) => unknown,
): Promise<unknown[]> {
  const answers: unknown[] = []
  for (let from = 0; from < all.length; from += commandsAtOnce) {
    const pipeline = node.pipeline()
    for (const each of all.slice(from, from + commandsAtOnce)) add(pipeline, each)
    for (const [error, answer] of (await pipeline.exec()) ?? []) {
      if (error !== null) throw error
      answers.push(answer)
    }
  }
  return answers
}
