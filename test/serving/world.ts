import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { pushModel } from '../../registry/models/models.ts'
import { sha256 } from '../../registry/sha256.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import type { LockstepServer, ServerOptions } from '../../serving/server-options.ts'
import { createServer } from '../../serving/server.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { servingSet } from './definitions.ts'
import { onnx } from './fixtures.ts'

/** 2001-07-01T12:00:00Z, epoch microseconds: the "now" of these tests unless they say otherwise. */
export const noon = Date.UTC(2001, 6, 1, 12) * 1000

export interface World {
  readonly db: Database
  readonly postgresUrl: string
  readonly redis: { readonly url: string; readonly prefix: string }
  /** The store that views are materialized into. */
  readonly store: OnlineStore
  /** Opens the store again, as each server does. */
  readonly openStore: () => OnlineStore
  /** Lines of the servers' logs. */
  readonly logged: string[]
  /** Into the world's store, or another. */
  materialize(view: string, moment?: number, into?: OnlineStore): Promise<void>
  /**
   * Pushes a model file. `producer`: what the file says it was made by, so that one model can be pushed as several
   * versions.
   */
  push(model: string, file: string | Uint8Array, producer?: string): Promise<number>
  /** A server of this world that listens on a free port; closed with the world. */
  serve(
    options?: Partial<ServerOptions>,
    where?: { readonly grpcPort?: number; readonly host?: string },
  ): Promise<{ server: LockstepServer; url: string; uiUrl: string | null; grpcPort: number | null; registry: Registry }>
  close(): Promise<void>
}

const contracts = new Map<string, ReturnType<typeof inspectModel>>()

/** The files of this process push few models, and each inspection is a process. */
async function contractOf(bytes: Uint8Array): ReturnType<typeof inspectModel> {
  const key = sha256(bytes)
  const contract = contracts.get(key) ?? inspectModel(bytes)
  contracts.set(key, contract)
  return await contract
}

/** The moments of most tests are years ago, and a server that has loaded deletes what is older than its retention. */
const keptLong = { auditRetentionDays: 36_500, evidenceRetentionDays: 36_500 }

/** A migrated database with the serving definitions (or others) applied, and an online store of the given kind. */
export async function createWorld(kind: OnlineStore['kind'], set: DefinitionSet = servingSet): Promise<World> {
  const database = await testDatabase()
  const db = openPostgres(database.url)
  await applyChanges(db, set)
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-serving-'))
  const redis = await testRedis()
  const openStore = () =>
    kind === 'embedded' ? openEmbeddedStore(directory) : createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix })
  const store = openStore()
  const servers: LockstepServer[] = []
  const logged: string[] = []

  return {
    db,
    postgresUrl: database.url,
    redis,
    store,
    openStore,
    logged,
    async materialize(view, moment = noon, into = store) {
      await materializeView(db, into, (await loadCatalog(db)).view(view), { moment, now: () => moment })
    },
    async push(model, file, producer = '') {
      const made = Buffer.from(producer)
      // field 2 of ONNX's ModelProto, of which the last one counts
      const bytes = Buffer.concat([
        typeof file === 'string' ? await onnx(file) : file,
        ...(producer === '' ? [] : [Buffer.of(0x12, made.length), made]),
      ])
      return (await pushModel(db, { model, bytes, contract: await contractOf(bytes) })).version.version
    },
    async serve({ config = { bodyLimitBytes: 100_000 }, ...options } = {}, { grpcPort: wanted, host = '127.0.0.1' } = {}) {
      const registry = new Registry()
      const server = createServer({
        config: { ...keptLong, ...config },
        database: async () => openPostgres(database.url),
        store: async () => openStore(),
        foldWaitMs: 5000,
        log: createLogger('debug', { write: (line) => void logged.push(line) }),
        metrics: registry,
        clock: () => noon,
        // notices wake the polls that a test waits for, and idle ones take a third of the processor time
        pollMs: 1000,
        drainMs: 2000,
        ...options,
      })
      servers.push(server)
      const { url, uiUrl, grpcPort } = await server.listen(host, 0, wanted)
      return { server, url, uiUrl, grpcPort, registry }
    },
    async close() {
      for (const server of servers) await server.close()
      await store.close()
      await db.close()
      await rm(directory, { recursive: true, force: true })
      await database.drop()
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: Body
}

/** The members of all bodies; a test checks those that it expects. */
export interface Body {
  readonly error: { readonly code: string; readonly message: string; readonly details: unknown; readonly requestId: string }
  readonly asOf: string
  readonly skewed?: boolean
  readonly late?: readonly string[]
  readonly version: number
  readonly results: readonly { readonly features: Named; readonly statuses: Named; readonly eventTimes: Named }[]
  readonly requestId: string
  readonly predictionIds: readonly string[]
  readonly predictions: readonly Named[]
  readonly features?: readonly Named[]
  readonly statuses: readonly Named[]
  readonly outputStatuses?: readonly Named[]
  readonly frontiers?: Readonly<Record<string, string | null>>
  readonly eventTimes: readonly Named[]
  readonly models: readonly { readonly model: string; readonly version: number | null }[]
  readonly reasons?: readonly string[]
  readonly warnings?: readonly string[]
}
export type Named = Readonly<Record<string, unknown>>

export async function ask(url: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const init =
    body === undefined
      ? { headers }
      : {
          method: 'POST',
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        }
  const response = await fetch(url + path, init)
  const text = await response.text()
  const json = response.headers.get('content-type')?.includes('json') === true
  return { status: response.status, headers: response.headers, text, body: (json ? JSON.parse(text) : {}) as Body }
}
