import { once } from 'node:events'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { keySlot } from '../../online/key-slot.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { redisKey } from '../../online/redis-key.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { cutCluster, openRedisCluster } from '../../runtime/redis/redis-cluster.ts'
import { parseRedisUrl } from '../../runtime/redis/redis-url.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking } from '../services/own-redis.ts'
import type { TestCluster } from '../services/redis-cluster.ts'
import { testRedisCluster } from '../services/redis-cluster.ts'
import { stored } from './stored-bytes.ts'

const prefix = 'moved'
const view = 'moved@1'
const keys = Array.from({ length: 300 }, (_, i): OnlineKey => ({ view, entity: 'thing', key: `k${i}` }))

let cluster: TestCluster
let store: OnlineStore
beforeAll(async () => {
  cluster = await testRedisCluster('redis-server')
  store = await openOnlineStore({ redisUrl: cluster.url, redisPrefix: prefix, directory: '/nowhere' })
  await store.write(keys.map((key) => ({ ...key, expected: null, bytes: stored(1, '') })))
})
afterAll(async () => {
  await store?.close()
  await cluster?.stop()
})

const slotOf = (key: OnlineKey): number => keySlot(redisKey(prefix, key))
const idOf = ({ port }: OwnRedis): Promise<unknown> => asking(port, (redis) => redis.call('CLUSTER', 'MYID'))

/** Opens a slot for a move and moves its keys, as a cluster's tools do. */
async function begin(slot: number, from: OwnRedis, to: OwnRedis): Promise<void> {
  await asking(to.port, async (redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(await idOf(from))))
  await asking(from.port, async (redis) => {
    await redis.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(await idOf(to)))
    const names = (await redis.call('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
    expect(names.length).toBeGreaterThan(0)
    await redis.migrate('127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...names)
  })
}

async function finish(slot: number, from: OwnRedis, to: OwnRedis): Promise<void> {
  const [others, id] = [(await cluster.shards()).map(({ primary }) => primary), String(await idOf(to))]
  for (const { port } of [to, from, ...others.filter((node) => node !== to && node !== from)])
    await asking(port, (redis) => redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', id))
}

/** A node and one of the slots of the view's keys that it has. */
type Held = readonly [OwnRedis, number]

/**
 * Lists all keys of the view.
 *
 * @param first runs after the first node with keys and before the others, which it gets, each with one of its slots
 * @param second runs after the second node with keys
 */
async function listed(
  first: (scanned: OwnRedis, others: readonly Held[]) => Promise<void>,
  second = async (): Promise<void> => undefined,
): Promise<EntityKey[]> {
  const found = new Set<EntityKey>()
  let groups = 0
  for await (const group of store.keys(view, 'thing')) {
    for (const key of group) found.add(key)
    groups++
    if (groups === 2) await second()
    if (groups > 1) continue
    const scanned = slotOf({ view, entity: 'thing', key: group[0] ?? '' })
    const nodes = await Promise.all((await cluster.shards()).map(async ({ primary }) => [primary, await slotsOn(primary)] as const))
    const [from] = nodes.find(([, slots]) => slots.includes(scanned)) ?? []
    if (from === undefined) throw new Error('The first group is of no node.')
    const others = nodes.flatMap(([node, [slot]]): Held[] => (node === from || slot === undefined ? [] : [[node, slot]]))
    expect(others).toHaveLength(2)
    await first(from, others)
  }
  return [...found].toSorted()
}

/** The slots of the view's keys that a node has. */
async function slotsOn({ port }: OwnRedis): Promise<number[]> {
  const slots = [...new Set(keys.map(slotOf))]
  return asking(port, async (redis) => {
    const counts = await Promise.all(slots.map((slot) => redis.call('CLUSTER', 'COUNTKEYSINSLOT', slot)))
    return slots.filter((_, i) => Number(counts[i]) > 0)
  })
}

const all = keys.map(({ key }) => key).toSorted()

it('lists the keys of slots that move to a node that was listed before', async () => {
  const found = await listed(async (scanned, others) => {
    for (const [other, slot] of others) {
      await begin(slot, other, scanned)
      await finish(slot, other, scanned)
    }
  })
  expect(found).toEqual(all)
})

it('lists the keys of slots that are still being moved at the end', async () => {
  const ends: (() => Promise<void>)[] = []
  const found = await listed(async (scanned, others) => {
    for (const [other, slot] of others) {
      await begin(slot, other, scanned)
      ends.push(() => finish(slot, other, scanned))
    }
  })
  for (const end of ends) await end()
  expect(found).toEqual(all)
})

it('lists the keys of slots that were moved and come back meanwhile', async () => {
  const backs: (() => Promise<void>)[] = []
  const found = await listed(
    async (scanned, others) => {
      for (const [other, slot] of others) {
        await begin(slot, other, scanned)
        await finish(slot, other, scanned)
        backs.push(async () => {
          await begin(slot, scanned, other)
          await finish(slot, scanned, other)
        })
      }
    },
    async () => {
      for (const back of backs) await back()
    },
  )
  expect(found).toEqual(all)
})

it('takes an answer that has arrived while the process was stalled for longer than 3 s', async () => {
  const address = parseRedisUrl(cluster.url)
  if (address === null) throw new Error('The cluster has no URL.')
  const client = openRedisCluster(address)
  try {
    await client.get('a')
    const answer = client.get('a')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_300)
    expect(await answer).toBe(null)
  } finally {
    client.disconnect()
  }
})

/** A client that has connected to the cluster by a host name, which it takes 200 ms to resolve. */
async function openByName(refreshMs: number) {
  const address = parseRedisUrl(cluster.url.replaceAll('127.0.0.1', 'localhost'))
  if (address === null) throw new Error('The cluster has no URL.')
  const client = openRedisCluster(address, { refreshMs })
  client.options.dnsLookup = (_, done) => void setTimeout(() => done(null, '127.0.0.1'), 200)
  await client.get('a')
  return client
}

it.concurrent('connects again after a connection has ended while host names were resolved', async () => {
  const client = await openByName(500)
  try {
    // of a server that does not answer the end of the connection
    const silent = client.nodes().find(({ status }) => status === 'ready')?.stream
    if (silent === undefined) throw new Error('The client has no connection.')
    silent.end = () => silent
    const connecting = once(client, 'connecting')
    client.disconnect(true)
    await connecting
    const closed = once(client, 'close')
    silent.destroy()
    await closed
    await vi.waitFor(() => expect(client.status).toBe('ready'), 60_000)
    expect(await client.get('a')).toBe(null)
  } finally {
    cutCluster(client)
  }
})

it.concurrent('ends a command after 3 s while host names are resolved', async () => {
  const client = await openByName(60_000)
  try {
    client.options.dnsLookup = () => undefined
    const connecting = once(client, 'connecting')
    client.disconnect(true)
    await connecting
    await expect(client.get('a')).rejects.toThrow('Command timed out')
  } finally {
    cutCluster(client)
  }
})

it.concurrent('does not read the slots again after it was closed while it read them', async () => {
  const client = await openByName(20)
  const refresh = client.refreshSlotsCache.bind(client)
  let reads = 0
  const read = new Promise<void>((resolve) => {
    client.refreshSlotsCache = (done) => {
      reads++
      refresh((error) => {
        done?.(error)
        resolve()
      })
      cutCluster(client)
    }
  })
  await read
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(reads).toBe(1)
})

it('refuses to list the keys of a cluster in which a slot has no server', async () => {
  const slot = slotOf(keys[0] as OnlineKey)
  for (const { primary } of await cluster.shards()) {
    if (!(await slotsOn(primary)).includes(slot)) continue
    await asking(primary.port, (redis) => redis.call('CLUSTER', 'DELSLOTS', slot))
    await expect(listed(async () => undefined)).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringContaining(`slot ${slot}`) as string,
    })
    await asking(primary.port, (redis) => redis.call('CLUSTER', 'ADDSLOTS', slot))
  }
  await cluster.whole()
  expect(await listed(async () => undefined)).toEqual(all)
})
