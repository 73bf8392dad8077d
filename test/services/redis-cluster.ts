import { setTimeout } from 'node:timers/promises'
import { freePort, onFreePort } from './keeper.ts'
import type { OwnRedis } from './own-redis.ts'
import { asking, ownRedis } from './own-redis.ts'
import type { RedisServer } from './redis-server.ts'
import { startAll } from './ways.ts'

const primaries = 3
const slots = 16_384
/** How long a node may be silent before the others elect its replica: a busy machine holds one up for a second. */
const nodeTimeoutMs = 2_500

export interface TestCluster {
  /** `redis+cluster://…` */
  readonly url: string
  readonly nodes: readonly OwnRedis[]
  /** The current primaries, each with its replica. */
  shards(): Promise<readonly { readonly primary: OwnRedis; readonly replica: OwnRedis | null }[]>
  /**
   * Resolves once every slot has a primary that answers, and, if requested, every primary has a replica that follows
   * it.
   */
  whole(options?: { readonly replicas?: boolean }): Promise<void>
  stop(): Promise<void>
}

/** A real cluster of three primaries and three replicas on this machine, ready to use. */
export async function testRedisCluster(server: RedisServer): Promise<TestCluster> {
  const node = async () =>
    ownRedis(server, {
      // A replica is filled at once, and stands for election however far behind it is.
      args: `--cluster-enabled yes --cluster-node-timeout ${nodeTimeoutMs} --cluster-port ${await freePort()} --repl-diskless-sync-delay 0 --cluster-replica-validity-factor 0`.split(
        ' ',
      ),
    })
  const nodes = (await startAll(2 * primaries, () => onFreePort(node))) as OwnRedis[]
  const cluster: TestCluster = {
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    nodes,
    async shards() {
      const members = await membersOf(nodes)
      return members
        .filter(({ role, failed, slots: owned }) => role === 'master' && !failed && owned)
        .map((master) => ({
          primary: nodeAt(nodes, master.port),
          replica: nodeOrNull(nodes, members.find(({ master: of, failed }) => of === master.id && !failed)?.port),
        }))
    },
    async whole({ replicas = true } = {}) {
      await until(async () => {
        for (const { port } of nodes) if (await asking(port, isFailing).catch(() => false)) return false
        const shards = await cluster.shards()
        if (shards.length !== primaries || (replicas && shards.some(({ replica }) => replica === null))) return false
        const linked = shards.map(
          async ({ replica }) =>
            replica === null ||
            asking(replica.port, async (redis) => (await redis.info('replication')).includes('link_status:up')).catch(() => false),
        )
        return (await Promise.all(linked)).every(Boolean)
      })
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
  try {
    await join(nodes)
    await cluster.whole()
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

async function join(nodes: readonly OwnRedis[]): Promise<void> {
  for (const [i, { port }] of nodes.entries()) {
    await asking(port, async (redis) => {
      await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      if (i < primaries) {
        const edge = (shard: number): number => Math.round((shard * slots) / primaries)
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', edge(i), edge(i + 1) - 1)
      }
    })
  }
  const buses = await Promise.all(nodes.map(({ port }) => asking(port, (redis) => redis.config('GET', 'cluster-port'))))
  // connects all with all, so that no node has to wait for gossip
  for (const { port } of nodes) {
    await asking(port, async (redis) => {
      for (const [i, other] of nodes.entries())
        if (other.port !== port) await redis.call('CLUSTER', 'MEET', '127.0.0.1', other.port, buses[i]?.[1] ?? '')
    })
  }
  const ids = await Promise.all(nodes.map(({ port }) => asking(port, async (redis) => String(await redis.call('CLUSTER', 'MYID')))))
  for (const [i, { port }] of nodes.entries()) {
    if (i < primaries) continue
    const primary = ids[i - primaries] ?? ''
    await asking(port, async (redis) => {
      await until(async () =>
        redis.call('CLUSTER', 'REPLICATE', primary).then(
          () => true,
          () => false,
        ),
      )
    })
  }
}

interface Member {
  readonly id: string
  readonly port: number
  readonly role: 'master' | 'slave'
  /** The id of a replica's primary. */
  readonly master: string
  readonly failed: boolean
  readonly slots: boolean
}

/** The role of each node, as the first node that answers reports it. */
async function membersOf(nodes: readonly OwnRedis[]): Promise<Member[]> {
  for (const { port } of nodes) {
    const answer = await asking(port, async (redis) => String(await redis.call('CLUSTER', 'NODES'))).catch(() => null)
    if (answer === null) continue
    return answer
      .trim()
      .split('\n')
      .map((line) => {
        const [id = '', address = '', flags = '', master = '', , , , owned] = line.split(' ')
        return {
          id,
          master,
          port: Number(/:(\d+)@/.exec(address)?.[1]),
          role: flags.includes('master') ? 'master' : 'slave',
          failed: flags.includes('fail'),
          slots: owned !== undefined,
        }
      })
  }
  throw new Error('No node of the cluster answers.')
}

async function isFailing(redis: { cluster(command: 'INFO'): Promise<unknown> }): Promise<boolean> {
  return !String(await redis.cluster('INFO')).includes('cluster_state:ok')
}

function nodeAt(nodes: readonly OwnRedis[], port: number): OwnRedis {
  const node = nodeOrNull(nodes, port)
  if (node === null) throw new Error(`The cluster tells of a node at port ${port} that is not of the test.`)
  return node
}

function nodeOrNull(nodes: readonly OwnRedis[], port: number | undefined): OwnRedis | null {
  return nodes.find((node) => node.port === port) ?? null
}

async function until(what: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 100_000
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('The cluster was not whole within 100 s.')
    await setTimeout(25)
  }
}
