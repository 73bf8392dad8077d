import { createHash } from 'node:crypto'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import type { EntitySpec, SourceSpec, ViewSpec } from '../../../kernel/specs/view-spec.ts'
import { materializeView } from '../../../materializer/runs/materialize.ts'
import { readOnline } from '../../../online/read.ts'
import { createRedisStore } from '../../../online/redis-store.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { DefinitionSet } from '../../../registry/load/definition-set.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { createLogger } from '../../../runtime/log.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { openRedis } from '../../../runtime/redis/redis.ts'
import type { StreamMetrics } from '../../../materializer/streams/stream-metrics.ts'
import type { StreamSpec } from '../../../kernel/specs/stream-spec.ts'
import { testDatabase, testRedis } from '../../services/index.ts'

const user: EntitySpec = { name: 'user', key: [{ name: 'user', type: { kind: 'string' } }] }
export const clicks: SourceSpec = {
  name: 'clicks',
  relation: { kind: 'owned' },
  key: [{ part: 'user', column: 'user' }],
  eventTime: 'at',
  known: null,
  columns: [{ name: 'amount', type: { kind: 'float64' } }],
}
const base = { default: null, required: false } as const
const totals: ViewSpec = {
  name: 'totals',
  version: 1,
  entity: user,
  source: clicks,
  availability: { kind: 'continuous' },
  derive: [],
  code: null,
  features: [
    { ...base, name: 'clicks', kind: 'lifetime', aggregate: 'count', column: null, type: { kind: 'int32' } },
    { ...base, name: 'spent', kind: 'lifetime', aggregate: 'sum', column: 'amount', type: { kind: 'float64' } },
    { ...base, name: 'last', kind: 'latest', column: 'amount', ttlMicros: null, type: { kind: 'float64' } },
  ],
}

/** @param source as `clicks`, with more columns that no view reads */
function clicksSet(stream: StreamSpec | null, source: SourceSpec = clicks): DefinitionSet {
  const declared = <Spec extends object, Operational extends object>(spec: Spec, operational: Operational) => ({
    spec,
    fingerprint: createHash('sha256').update(JSON.stringify(spec)).digest('hex'),
    operational,
  })
  return {
    file: 'clicks.ts',
    entities: [declared(user, {})],
    sources: [declared(source, stream === null ? {} : { stream })],
    // as of a compiled view, the fingerprint covers what the view reads
    views: [{ ...declared(totals, { online: true }), spec: { ...totals, source } }],
    onDemand: [],
    services: [],
    models: [],
    outcomes: [],
    channels: [],
    experiments: [],
    batches: [],
    pipelines: [],
    trainings: [],
    monitors: [],
    code: new Map(),
  }
}

export interface ClicksWorld {
  readonly db: Database
  readonly databaseUrl: string
  readonly redis: { readonly url: string; readonly prefix: string }
  readonly store: OnlineStore
  /** Of each user: how many clicks, and their sum, online. */
  online(users: readonly string[]): Promise<(readonly [clicks: unknown, spent: unknown])[]>
  /** Whether the stored bodies of these users are those of a store that is rebuilt from the table. */
  sameAsRebuilt(users: readonly string[]): Promise<boolean>
  /** @param source default: `clicks` */
  apply(stream: StreamSpec | null, source?: SourceSpec): Promise<void>
  close(): Promise<void>
}

/** A database with clicks applied and a Redis that holds the view, still without rows. */
export async function createClicksWorld(): Promise<ClicksWorld> {
  const database = await testDatabase()
  const db = openPostgres(database.url)
  const redis = await testRedis()
  const store = createRedisStore({ redis: openRedis(redis.url), prefix: redis.prefix })
  await applyChanges(db, clicksSet(null))
  const plan = (await loadCatalog(db)).view('totals')
  await materializeView(db, store, plan)
  const keys = (users: readonly string[]) => users.map((name) => encodeKey(plan.spec.entity.key, [name]))
  const values = async (from: OnlineStore, users: readonly string[]) => {
    const requests = keys(users).map((key) => ({ plan, key }))
    return (await readOnline(from, requests, Date.now() * 1000 + 1e9)).map((answer) => answer.values)
  }
  return {
    db,
    databaseUrl: database.url,
    redis,
    store,
    online: async (users) => (await values(store, users)).map((each) => [each?.values[0], each?.values[1]]),
    async sameAsRebuilt(users) {
      const other = createRedisStore({ redis: openRedis(redis.url), prefix: `${redis.prefix}rebuilt:` })
      try {
        await materializeView(db, other, plan)
        return JSON.stringify(await values(store, users)) === JSON.stringify(await values(other, users))
      } finally {
        await other.close()
      }
    },
    apply: async (stream, source) => void (await applyChanges(db, clicksSet(stream, source))),
    async close() {
      await store.close()
      await db.close()
      await database.drop()
    },
  }
}

export interface Counts {
  appended: number
  duplicate: number
  dead: number
  failures: number
}

export function countingMetrics(): { readonly counts: Counts; readonly metrics: StreamMetrics } {
  const counts = { appended: 0, duplicate: 0, dead: 0, failures: 0 }
  return {
    counts,
    metrics: {
      messages(_, { appended, duplicate, dead }) {
        counts.appended += appended
        counts.duplicate += duplicate
        counts.dead += dead
      },
      lag: () => undefined,
      failure: () => void counts.failures++,
      overCap: () => undefined,
    },
  }
}

export const quietLog = createLogger('silent')
