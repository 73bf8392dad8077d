import { setTimeout as delay } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { LockstepError } from '../kernel/errors.ts'
import { slots } from './key-slot.ts'
import type { StateKeys } from './redis-key.ts'
import { scanKeys } from './redis-commands.ts'

const slotsAtOnce = 100
const pauseMs = 50
/** For three seconds at least. A slot changes hands within moments. */
const maxTries = 60
/** More than a slot can have. */
const allKeys = 2 ** 31 - 1

/**
 * The keys of all nodes of a cluster, which may move slots meanwhile. A key that moves from a node that is scanned
 * later to one that was scanned earlier is in neither scan. So the nodes report their slots before and after, and slots
 * that have changed are listed again, until none of these changes.
 *
 * @param primaries asks the cluster for its present primaries
 * @param server for messages
 */
export async function* clusterKeys(
  primaries: () => Promise<readonly Redis[]>,
  wanted: StateKeys,
  server: string,
): AsyncGenerator<string[]> {
  let before = await readSlotMap(await primaries())
  for (const node of before.nodes.values()) yield* scanKeys(node, wanted)
  let after = await readSlotMap(await primaries())
  const isMoving = (slot: number): boolean => before.moves.has(slot) || after.moves.has(slot)
  let left = [...before.owners.keys()].filter((slot) => isMoving(slot) || !isSame(slot, before, after))
  for (let tries = 1; left.length > 0; tries++) {
    if (tries > maxTries) {
      throw new LockstepError(
        'REDIS_UNAVAILABLE',
        `The Redis Cluster at "${server}" is moving slot ${left[0]}, or has no server for it, so its keys cannot be listed. See "CLUSTER NODES" on any node, and try again when the slot has one server.`,
      )
    }
    if (tries > 1) await delay(pauseMs)
    before = await readSlotMap(await primaries())
    for (let from = 0; from < left.length; from += slotsAtOnce) yield* slotKeys(before, left.slice(from, from + slotsAtOnce), wanted)
    after = await readSlotMap(await primaries())
    left = left.filter((slot) => !isSame(slot, before, after))
  }
}

/** The keys of some slots. Keys move from the owner of a slot to another node, so the owners are asked first. */
async function* slotKeys({ nodes, owners }: SlotMap, some: readonly number[], { start, end }: StateKeys): AsyncGenerator<string[]> {
  for (const ofOwner of [true, false]) {
    const asked = some.flatMap((slot) =>
      [...nodes].flatMap(([id, node]) =>
        owners[slot]?.startsWith(id) === ofOwner ? [node.call('CLUSTER', 'GETKEYSINSLOT', slot, allKeys)] : [],
      ),
    )
    const names = ((await Promise.all(asked)) as string[][]).flat()
    const found = names.filter((name) => name.startsWith(start) && name.endsWith(end))
    if (found.length > 0) yield found
  }
}

/** The slots of a cluster, as their owners report them. */
interface SlotMap {
  /** The primaries by id. */
  readonly nodes: ReadonlyMap<string, Redis>
  /**
   * By slot: `ID@EPOCH`. The epoch shows that a slot has come back. null: it has no owner, or two while it changes
   * hands.
   */
  readonly owners: readonly (string | null)[]
  /** By slot that is being moved: the ids of its other nodes. */
  readonly moves: ReadonlyMap<number, readonly string[]>
}

async function readSlotMap(primaries: readonly Redis[]): Promise<SlotMap> {
  const nodes = new Map<string, Redis>()
  const claims = Array.from({ length: slots }, (): string[] => [])
  const moves = new Map<number, string[]>()
  const answers = await Promise.all(primaries.map((node) => node.cluster('NODES')))
  for (const [i, node] of primaries.entries()) {
    // id, address, flags, primary, ping, pong, epoch, link, then slots: 5, 7-9, [93->-ID] (leaves), [77-<-ID] (comes)
    const own = String(answers[i])
      .split('\n')
      .find((line) => /^\S+ \S+ \S*myself/.test(line))
    const [id = '', , , , , , epoch, , ...owned] = own?.trim().split(' ') ?? []
    nodes.set(id, node)
    for (const each of owned) {
      const [, moving, other = ''] = /^\[(\d+)-[<>]-(\w+)\]$/.exec(each) ?? []
      if (moving !== undefined) moves.set(Number(moving), [...(moves.get(Number(moving)) ?? []), other])
      const [first = 0, last = first] = moving === undefined ? each.split('-').map(Number) : [1, 0]
      for (let slot = first; slot <= last; slot++) claims[slot]?.push(`${id}@${epoch}`)
    }
  }
  return { nodes, owners: claims.map(([owner = null, ...others]) => (others.length === 0 ? owner : null)), moves }
}

/** Whether a slot had the same owner from one moment to the other, and can move to known nodes only. */
function isSame(slot: number, before: SlotMap, after: SlotMap): boolean {
  const owner = before.owners[slot]
  const others = [...(before.moves.get(slot) ?? []), ...(after.moves.get(slot) ?? [])]
  return owner !== null && owner === after.owners[slot] && others.every((id) => before.nodes.has(id))
}
