import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { isDamaged } from '../../kernel/states/stored-state.ts'
import { explainView } from '../../offline/explain-view.ts'
import { explainWindow } from '../../offline/explain-window.ts'
import { readHistory } from '../../offline/history.ts'
import { writtenKeys } from '../../offline/written-keys.ts'
import type { CheckpointOwner } from '../../online/checkpoint-owner.ts'
import { storeName } from '../../online/instrumented-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { HoldingStore } from '../../online/completeness.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { createSemaphore } from '../../runtime/async.ts'
import type { Semaphore } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { RoundTrips, Timed } from '../../runtime/postgres/round-trips.ts'
import { untimed } from '../../runtime/postgres/round-trips.ts'
import type { Logger } from '../../runtime/log.ts'
import type { ServingMetrics } from '../metrics.ts'
import type { Breaker } from '../traffic/circuit-breaker.ts'
import type { Place } from '../traffic/place.ts'
import type { ServerBreakers } from '../traffic/server-breakers.ts'
import type { ReadExplanation, ReadWindow } from './explain.ts'
import type { FeatureReaderDeps } from './read-features.ts'

/** Each read of the history takes two database connections while it runs. */
const historyLimit = { permits: 4, queue: { max: 100, name: 'reads of the history' } }
/** One in so many reads of the store is measured, because it takes 0.2 us. */
const timedEvery = 8
/** Damaged states are logged no more often. */
const damageLogMs = 10_000

export interface ReaderDeps extends Pick<FeatureReaderDeps, 'views' | 'staleCache' | 'late' | 'ages'> {
  readonly owner: CheckpointOwner
  readonly needDatabase: () => Database
  readonly needOnline: () => OnlineStore
  readonly traffic: {
    readonly store: Pick<Breaker, 'run'>
    /** Absent: the servers of a cluster have no breakers. */
    readonly storeServers?: Pick<ServerBreakers, 'run'>
    readonly history: Pick<Breaker, 'run'>
  }
  readonly metrics: Pick<ServingMetrics, 'read' | 'onlineError'>
  /** Measures reads of the store. Absent: they are not measured. */
  readonly roundTrips?: RoundTrips
  readonly log: Logger
  /** Ends reads of the history. */
  readonly signal: AbortSignal
}

/** Reads features from the online store and the offline history, each behind its circuit breaker. */
export interface FeatureReader {
  readonly reader: (catalog: Catalog) => FeatureReaderDeps
  readonly explain: ReadExplanation
  readonly explainWindow: ReadWindow
  /** Limits the reads of the history. */
  readonly limitHistory: Semaphore
}

export function createFeatureReader({
  owner,
  needDatabase,
  needOnline,
  traffic,
  metrics,
  roundTrips,
  log,
  signal,
  ...deps
}: ReaderDeps): FeatureReader {
  const limitHistory = createSemaphore(historyLimit)
  let damageLoggedAt = Number.NEGATIVE_INFINITY

  function fromHistory<T>(read: (db: Database) => Promise<T>, place?: Place): Promise<T> {
    return limitHistory(() => {
      const db = needDatabase()
      return traffic.history.run(() => read(db))
    }, place)
  }

  function onStoreError(error: unknown): void {
    metrics.onlineError(error)
    if (!isDamaged(error) || performance.now() - damageLoggedAt < damageLogMs) return
    damageLoggedAt = performance.now()
    log.error({ error: error.message }, 'a state in the online store is damaged: the history answers instead')
  }

  const timer = (name: 'redis' | 'sqlite'): Timed => roundTrips?.timer(name, 'read', timedEvery) ?? untimed
  const timers = { redis: timer('redis'), sqlite: timer('sqlite') }
  const store: HoldingStore = {
    owner,
    read(keys, how) {
      const open = needOnline()
      const time = timers[storeName(open)]
      // a store on several servers has a breaker for each
      if (open.sameConnection !== undefined) return time(() => open.read(keys, { ...how, through: traffic.storeServers?.run }))
      return traffic.store.run(() => time(() => open.read(keys, how)))
    },
  }
  return {
    limitHistory,
    reader: memoizeWeak(({ online }: Catalog) => ({
      ...deps,
      store,
      system: () => storeName(needOnline()),
      onStoreError,
      onRead: metrics.read,
      isOnline: (view) => online.has(view),
      history: (requests, onSeen, place) => fromHistory((db) => readHistory(db, requests, { signal, onSeen }), place),
      written: (plan, keys, by, place) => fromHistory((db) => writtenKeys(db, plan, keys, by), place),
    })),
    explain: (plan, key, asked, place) => fromHistory((db) => explainView(db, plan, key, { ...asked, signal }), place),
    explainWindow: (plan, key, asked) => fromHistory((db) => explainWindow(db, plan, key, { ...asked, signal })),
  }
}
