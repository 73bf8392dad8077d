import { parseForgetNotice } from '../../monitoring/rollups/forget-entity.ts'
import type { RollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import type { CheckpointOwner } from '../../online/checkpoint-owner.ts'
import type { LoadRequest } from '../../registry/models/load-request.ts'
import { parseLoadRequest } from '../../registry/models/load-request.ts'
import { catalogRevision, erasedNotice, registryChannel } from '../../registry/revision.ts'
import type { PollLoop } from '../../runtime/async.ts'
import { jitter, orTimeout, startPollLoop } from '../../runtime/async.ts'
import type { OnlineViews } from '../features/online-views.ts'
import type { StaleCache } from '../features/stale-cache.ts'
import type { LiveCatalog } from '../models/live-catalog.ts'
import { reachRevision } from '../models/live-catalog.ts'
import type { ModelHost } from '../models/model-host.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { OwnWatches } from './own-watches.ts'
import type { ServerReadiness } from './readiness.ts'
import type { Stores } from './stores.ts'

export interface WatchDeps {
  readonly stores: Stores
  readonly catalog: LiveCatalog
  readonly models: Pick<ModelHost, 'forgetAnswers' | 'settled'>
  readonly views: OnlineViews
  readonly owner: CheckpointOwner
  readonly own: Omit<OwnWatches, 'warnings'>
  readonly traffic: Traffic
  /** null: states are not kept. */
  readonly staleCache: StaleCache | null
  readonly rollups: Pick<RollupRecorder, 'forget'>
  readonly readiness: ServerReadiness
  readonly preloadModel: (request: LoadRequest) => Promise<void>
  readonly pollMs: number
  /** Further loops, which begin with the others. */
  readonly more: () => PollLoop[]
}

/** The loops of a server, which keep what it knows of the registry and the stores current. */
export interface ServerWatch {
  start(): void
  /** Reads the API keys now, if the database answers. */
  refreshKeys(): Promise<void>
  /**
   * Loads the present registry and its models now, for at most 10 s, and looks which views the online store holds.
   */
  refresh(): Promise<void>
  stop(): Promise<void>
}

/** How often it checks that workers keep the online views current, and that the clock is right. */
const upkeepMs = 5000
/** How soon it looks again while the server is not ready. */
const notReadyMs = 500
/** How soon a revoked key is refused if no notice of the change arrives. */
const keysMs = 1000
/** How long a refresh waits for models. */
const settleMs = 10_000

export function createServerWatch(deps: WatchDeps): ServerWatch {
  const { stores, catalog, models, views, owner, own, traffic, staleCache, rollups, readiness, preloadModel, pollMs, more } = deps
  const { database, online } = stores
  let loops: PollLoop[] = []
  let listening: Promise<() => Promise<void>> | null = null
  let stopped = false
  let heard = false

  async function watchDatabase(): Promise<void> {
    await database.check()
    const db = database.available
    if (db !== null) {
      own.checkDatabase(db)
      if (traffic.history.isOpen) traffic.history.reset()
      // a database that cannot notify is polled by this loop alone
      if (!stopped) listening ??= db.listen(registryChannel, onNotice)
      await traffic.keys.refresh(db)
      await catalog.refresh(db)
    }
    await checkViews()
    readiness.note()
  }

  /**
   * The registry has changed, an entity was erased, or a version is to be loaded.
   *
   * @param notice null: notices may have been missed
   */
  function onNotice(notice: string | null): void {
    const request = notice === null ? null : parseLoadRequest(notice)
    if (request !== null) return void preloadModel(request)
    const erased = notice === null ? null : parseForgetNotice(notice)
    if (erased !== null) return rollups.forget(erased)
    models.forgetAnswers()
    // its connection was lost, as when the database is restored from a backup
    if (notice === null && heard) for (const known of [catalog, traffic.keys]) known.distrust()
    heard = true
    if (notice === null || notice === erasedNotice) staleCache?.forget()
    loops[0]?.wake()
  }

  async function watchOnline(): Promise<void> {
    await online.check()
    if (online.failure === null) {
      if (traffic.store.isOpen) traffic.store.reset()
      traffic.storeServers.note(stores.onlineServers.servers)
    }
    await checkViews()
    readiness.note()
  }

  async function checkViews(): Promise<void> {
    const store = online.available
    if (store !== null && catalog.loaded !== null) await views.check({ ...store, owner }, catalog.loaded)
  }

  async function watchKeys(): Promise<void> {
    if (database.available !== null) await traffic.keys.refresh(database.available)
  }

  const delayMs = (): number => jitter(readiness.current().ready ? pollMs : Math.min(pollMs, notReadyMs))

  return {
    start() {
      loops = [
        startPollLoop(watchDatabase, delayMs),
        startPollLoop(watchOnline, delayMs),
        startPollLoop(watchKeys, () => Math.min(pollMs, keysMs) * (0.5 + Math.random() / 2)),
        startPollLoop(
          () => own.check(stores, catalog),
          () => jitter(Math.min(catalog.loaded === null ? notReadyMs : upkeepMs, 2 * pollMs)),
        ),
        ...more(),
      ]
    },
    async refreshKeys() {
      await database.check()
      await watchKeys()
    },
    async refresh() {
      await watchDatabase()
      const db = database.available
      // a load that was under way may have read the registry before
      if (db !== null) await reachRevision(catalog, db, await catalogRevision(db))
      await orTimeout(models.settled(), settleMs)
      await checkViews()
    },
    async stop() {
      stopped = true
      await Promise.all([...loops.map((loop) => loop.stop()), listening?.then((stop) => stop())])
    },
  }
}
