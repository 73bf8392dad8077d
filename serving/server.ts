import type { AddressInfo } from 'node:net'
import { allocateYoung } from '../runtime/v8-flags.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { explainView } from '../offline/explain-view.ts'
import { readHistory } from '../offline/history.ts'
import { writtenKeys } from '../offline/written-keys.ts'
import { isDamaged } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { createEventIntake } from '../materializer/event-intake.ts'
import { logOversized } from '../materializer/log-oversized.ts'
import { registerFreshness } from '../monitoring/freshness/freshness-metrics.ts'
import { createFreshnessReader } from '../monitoring/freshness/freshness-reader.ts'
import type { OnlineStore } from '../online/store.ts'
import { createCheckpointOwner } from '../online/checkpoint-owner.ts'
import { watchedStore } from '../online/instrumented-store.ts'
import type { Catalog } from '../registry/catalog.ts'
import { parseLoadRequest } from '../registry/load-request.ts'
import { readModelBytes } from '../registry/model-versions.ts'
import { erasedNotice, registryChannel } from '../registry/revision.ts'
import { readAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'
import { logNothing } from '../runtime/log-shares.ts'
import { parseRedisUrl, redisServers } from '../runtime/redis-url.ts'
import { isUnavailable } from '../runtime/postgres-unavailable.ts'
import { openTlsPair } from '../runtime/tls-pair.ts'
import { memoizeWeak } from '../kernel/memoize-weak.ts'
import { drainOf } from './lifecycle/drain.ts'
import type { Finding } from './lifecycle/readiness.ts'
import { about, readinessOf } from './lifecycle/readiness.ts'
import { createRecentStates } from './features/stale-cache.ts'
import { createDependency } from './lifecycle/dependency.ts'
import { createTraffic } from './traffic/traffic.ts'
import { isLoopback } from './traffic/loopback.ts'
import type { GrpcServer } from './protocols/grpc/grpc-server.ts'
import { createHttpListener } from './protocols/http/app.ts'
import type { ServingContext } from './context.ts'
import { createHttpServer } from './protocols/http/http-server.ts'
import { listening as listenOn } from '../runtime/listen.ts'
import { createLogMetrics } from '../monitoring/prediction-log/log-metrics.ts'
import { createPredictionLog } from '../monitoring/prediction-log/prediction-log.ts'
import { createIdempotency } from './traffic/idempotency.ts'
import { createLiveCatalog } from './models/live-catalog.ts'
import { createReadCatalogs } from './features/read-catalog.ts'
import { createLoadOnRequest } from './models/preload-model.ts'
import { createServingMetrics } from './metrics.ts'
import { createModelChanges } from './models/model-changes.ts'
import { createModelHost } from './models/model-host.ts'
import { createParityWatch } from '../monitoring/parity/parity-watch.ts'
import { createLateViews } from './features/late-views.ts'
import { createOnlineViews } from './features/online-views.ts'
import { createRetention } from './lifecycle/retention.ts'
import type { PollLoop } from '../runtime/async.ts'
import { createSemaphore, jitter, sleep, startPollLoop, withTimeout } from '../runtime/async.ts'
import type { LockstepServer, ServerOptions } from './server-options.ts'
import { requireKeys } from './traffic/require-keys.ts'
import { createTransformWatch } from './features/transform-watch.ts'
import { createUpkeepWatch } from './lifecycle/upkeep-watch.ts'
import type { Readiness, ServerStatus } from './lifecycle/server-status.ts'

/** Each read of the history takes two connections of the database while it runs. */
const historyLimit = { permits: 4, queue: { max: 100, name: 'reads of the history' } }
/** How long a change of the registry waits for a model that is to be loaded for it. */
const patienceMs = 500
/** How long the parts of a server may take to close, after the requests under way. */
const loopsStopMs = 2000
const partsCloseMs = 6000
/** How long the prediction log may take. */
const logCloseMs = 2000
/** How often old days of it are looked for, and how soon again where that failed. */
const dropOldMs = 3_600_000
const dropAgainMs = 60_000
const parityMs = 60_000
/** How often it is looked whether the online views are kept current. */
const upkeepMs = 5_000
/** Damaged states are logged no more often. */
const damageToldMs = 10_000
/** How long folding what was pushed may take then: the next run of a view does what is left. */
const foldsCloseMs = 1500

/**
 * The serving process: watches the registry and the stores, and answers HTTP. It starts with PostgreSQL or Redis away, and becomes ready by itself;
 * with PostgreSQL lost later it goes on answering what needs no history.
 * V8 makes all objects of the process young from then on (`runtime/v8-flags.ts`).
 */
export function createServer(options: ServerOptions): LockstepServer {
  allocateYoung()
  const { log, headMs = 10_000, requestMs = 60_000 } = options
  const pollMs = options.pollMs ?? 2000
  const files = options.config.tls ?? null
  const tls = files === null ? null : openTlsPair(files, { log, metrics: options.metrics, now: Date.now })
  const database = createDependency({ name: 'The database', open: options.database, ping: (db) => db.ping(), log })
  const store = createDependency({ name: storeName(options.config.redisUrl), open: options.store, ping: (online) => online.ping(), log })
  const metrics = createServingMetrics(options.metrics)
  const models = createModelHost({
    readBytes,
    metrics: metrics.runs,
    onVersions: metrics.models.versions,
    log,
    now: () => performance.now(),
    patienceMs,
  })
  const late = createLateViews((view) => catalog.current().online.has(view), options.clock)
  const views = createOnlineViews(metrics.onlineViews, log, late, () => options.defaultAsOf ?? options.clock())
  const readCatalogOf = createReadCatalogs(() => views.complete)
  const owner = createCheckpointOwner(needDatabase)
  const traffic = createTraffic(options.config, { log, registry: options.metrics })
  const limitHistory = createSemaphore(historyLimit)
  const drained = new AbortController()
  const transforms = createTransformWatch(options.metrics, log)
  const catalog = createLiveCatalog({ models, transforms, log })
  const loadOnRequest = createLoadOnRequest({ database: needDatabase, catalog, models, transforms, log })
  let closing = false
  let shutting: Promise<void> | null = null
  let becameReady: () => void
  const ready = new Promise<void>((resolve) => (becameReady = resolve))

  const freshness =
    options.lead === false
      ? null
      : createFreshnessReader({
          database: () => (database.failure === null ? database.value : null),
          store: () => store.value,
          catalog: async () => catalog.loaded,
        })
  if (freshness !== null) registerFreshness(options.metrics, freshness)
  const upkeep = createUpkeepWatch(log, freshness, options.workerGraceMs)

  const { futureMicros = 600_000_000 } = options.config
  const intake = createEventIntake(
    {
      database: needDatabase,
      store: () => watchedStore(needStore(), metrics.onlineError),
      views: onlineViewsOf,
      metrics: metrics.push,
      onFoldFailure(source, error) {
        metrics.push.foldFailed(source)
        log.warn({ source, error: messageOf(error) }, 'pushed events are committed but not online yet')
      },
      onTooLarge: logOversized(log, metrics.push.overCap),
    },
    { futureMicros, ...(options.foldWaitMs !== undefined && { foldWaitMs: options.foldWaitMs }) },
  )

  const predictionLog = createPredictionLog(
    { database: needDatabase, metrics: (waiting) => createLogMetrics(options.metrics, waiting), log, clock: options.clock },
    {
      shares: options.config.logShares ?? logNothing,
      retentionDays: options.config.logRetentionDays ?? 30,
      ...options.predictionLog,
    },
  )
  let dropDelayMs = dropAgainMs
  let damageToldAt = Number.NEGATIVE_INFINITY
  const retention = createRetention({ database: needDatabase, auditRetentionDays: options.config.auditRetentionDays ?? 365, log })

  const { parityPerMinute = 0 } = options.config
  const parity =
    parityPerMinute === 0 || options.lead === false
      ? null
      : createParityWatch(
          {
            database: needDatabase,
            catalog: () => catalog.current(),
            inTurn: limitHistory,
            metrics: options.metrics,
            log,
            clock: options.clock,
            signal: drained.signal,
          },
          { vectors: parityPerMinute },
        )

  const boundMs = (options.config.staleSeconds ?? 0) * 1000
  const maxBytes = (options.config.staleMegabytes ?? 64) * 2 ** 20
  const recent = boundMs === 0 ? null : createRecentStates({ boundMs, maxBytes, now: () => performance.now() })
  const own: ServerStatus = { readiness: () => Promise.resolve(readiness()), metrics: () => options.metrics.metrics() }
  const deps: ServingContext = {
    catalog: catalog.current,
    readCatalog: () => readCatalogOf(catalog.current()),
    reader: memoizeWeak(({ online }: Catalog) => ({
      store: {
        owner,
        read(keys, how) {
          const open = needStore()
          return traffic.store.run(() => open.read(keys, how))
        },
      },
      views,
      recent,
      late,
      onStoreError: noteStoreError,
      onRead: metrics.read,
      isOnline: (view) => online.has(view),
      history: (requests, onSeen) => ofHistory((db) => readHistory(db, requests, { signal: drained.signal, onSeen })),
      written: (plan, keys, by) => ofHistory((db) => writtenKeys(db, plan, keys, by)),
    })),
    models,
    modelChanges: createModelChanges(needDatabase, catalog, models),
    intake,
    upkeep: { database: needDatabase, store: needStore, replayMs: options.replayMs },
    idempotency: createIdempotency(needDatabase),
    audit: (filter) => readAudit(needDatabase(), filter),
    explain: (plan, key, asked) => ofHistory((db) => explainView(db, plan, key, { ...asked, signal: drained.signal })),
    traffic,
    readiness,
    status: options.status?.(own) ?? own,
    metricsAt: (options.config.metricsPort ?? null) === null ? (options.config.metricsAuth ?? 'off') : 'elsewhere',
    closing: () => closing,
    metrics,
    predictionLog,
    log,
    clock: options.clock,
    defaultAsOf: options.defaultAsOf ?? null,
    onUnavailable: options.onUnavailable ?? 'error',
    bodyLimitBytes: options.config.bodyLimitBytes,
    idleBackfillMs: options.idleBackfillMs ?? 60_000,
    corsOrigins: options.config.corsOrigins ?? [],
  }
  const http = createHttpServer(createHttpListener(deps), { headMs, requestMs, tls })
  const drain = drainOf(http)
  let grpc: GrpcServer | null = null
  const loops: PollLoop[] = []
  let listening: Promise<() => Promise<void>> | null = null

  function needDatabase(): Database {
    if (database.value !== null && database.failure === null) return database.value
    throw new LockstepError('POSTGRES_UNAVAILABLE', database.failure ?? 'The database is not open.')
  }

  /** A read of the history for a request: in turn, and not begun where the database is known to be away. */
  function ofHistory<T>(read: (db: Database) => Promise<T>): Promise<T> {
    return limitHistory(() => {
      const db = needDatabase()
      return traffic.history.run(() => read(db))
    })
  }

  function noteStoreError(error: unknown): void {
    metrics.onlineError(error)
    if (!isDamaged(error) || performance.now() - damageToldAt < damageToldMs) return
    damageToldAt = performance.now()
    log.error({ error: error.message }, 'a state in the online store is damaged: the history answers instead')
  }

  function needStore(): OnlineStore {
    if (store.value !== null && store.failure === null) return store.value
    if (store.value?.kind === 'redis') throw new LockstepError('REDIS_UNAVAILABLE', store.failure ?? 'It is closed.')
    throw new LockstepError('NOT_READY', 'The online store cannot be read yet; GET /readyz says why. Try again soon.', {
      cause: new Error(store.failure ?? ''),
    })
  }

  function onlineViewsOf(source: string): ViewPlan[] {
    const { views: all, online } = catalog.current()
    return [...all.values()].filter(
      ({ id, spec }) => online.has(id) && spec.source.relation.kind === 'owned' && spec.source.name === source,
    )
  }

  async function readBytes(model: string, version: number): Promise<Uint8Array> {
    try {
      return await readModelBytes(needDatabase(), model, version)
    } catch (cause) {
      if (!isUnavailable(cause)) throw cause
      throw new LockstepError('POSTGRES_UNAVAILABLE', `The database was lost while "${model}@${version}" was read: ${messageOf(cause)}`, {
        cause,
      })
    }
  }

  function readiness(): Readiness {
    const reasons: Finding[] = []
    const warnings = [
      ...about('models', models.failures),
      ...about('views', views.warnings),
      ...about('workers', upkeep.warnings),
      ...about('transforms', transforms.warnings),
      ...about('certificate', tls?.warnings() ?? []),
    ]
    // where something else is given, it is ready without the store
    const storeNeeded = (options.onUnavailable ?? 'error') === 'error' ? reasons : warnings
    if (closing) reasons.push({ part: 'server', text: 'The server is shutting down.' })
    if (store.failure !== null) storeNeeded.push({ part: 'online store', text: store.failure })
    else if (catalog.loaded !== null && views.failure !== null) storeNeeded.push({ part: 'views', text: views.failure })
    const registry = about('database', database.failure === null ? [] : [database.failure])
    if (registry.length === 0 && catalog.failure !== null) registry.push({ part: 'registry', text: catalog.failure })
    if (!traffic.keys.known && registry.length === 0) reasons.push({ part: 'keys', text: 'The API keys are not loaded yet.' })
    if (catalog.loaded !== null) warnings.push(...registry)
    else reasons.push(...(registry.length > 0 ? registry : about('registry', ['The registry is not loaded yet.'])))
    // until then it is not known which version a bare name means
    if (views.complete === null && catalog.loaded !== null && store.value !== null && store.failure === null)
      reasons.push({ part: 'views', text: 'The views in the online store have not been checked yet.' })
    return readinessOf(reasons, warnings)
  }

  async function watchDatabase(): Promise<void> {
    await database.check()
    if (database.value !== null && database.failure === null) {
      if (traffic.history.isOpen) traffic.history.reset()
      // the first loop watches the database; where nobody can listen, it looks by itself
      if (!closing) listening ??= database.value.listen(registryChannel, noticed)
      await traffic.keys.refresh(database.value)
      await catalog.refresh(database.value)
    }
    await checkViews()
    noteReady()
  }

  /** The registry has changed, an entity was erased, or a version is to be loaded; or, null, such a notice may have been missed. */
  function noticed(notice: string | null): void {
    const request = notice === null ? null : parseLoadRequest(notice)
    if (request !== null) return void loadOnRequest(request)
    models.forgetAnswers()
    if (notice === null || notice === erasedNotice) recent?.forget()
    loops[0]?.wake()
  }

  async function dropOldLog(): Promise<void> {
    dropDelayMs = dropAgainMs
    if (database.value === null || catalog.loaded === null) return
    try {
      await predictionLog.dropOld()
      dropDelayMs = dropOldMs
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'old days of the prediction log could not be deleted')
    }
  }

  async function watchKeys(): Promise<void> {
    if (database.value !== null && database.failure === null) await traffic.keys.refresh(database.value)
  }

  async function watchStore(): Promise<void> {
    await store.check()
    if (store.failure === null && traffic.store.isOpen) traffic.store.reset()
    await checkViews()
    noteReady()
  }

  async function checkViews(): Promise<void> {
    if (store.value !== null && store.failure === null && catalog.loaded !== null)
      await views.check({ ...store.value, owner }, catalog.loaded)
  }

  async function checkUpkeep(): Promise<void> {
    if (database.value !== null && database.failure === null && store.value !== null && catalog.loaded !== null)
      await upkeep.check(database.value, store.value, catalog.loaded)
  }

  async function shutDown(): Promise<void> {
    closing = true
    // who sends requests here learns of it by and by
    const { shutdownDelayMs = 0 } = options.config
    if (shutdownDelayMs > 0) await sleep(shutdownDelayMs)
    const drainMs = options.drainMs ?? 10_000
    await Promise.all([drain(drainMs), grpc?.close(drainMs)])
    traffic.close()
    tls?.close()
    const pushed = closed('the pushed events', loopsStopMs, intake.close(foldsCloseMs))
    drained.abort(new LockstepError('NOT_READY', 'The server is shutting down.'))
    await closed(
      'the watching of the stores',
      loopsStopMs,
      Promise.all([...loops.map((loop) => loop.stop()), listening?.then((stop) => stop())]),
    )
    await pushed
    await closed('the prediction log', logCloseMs + 500, predictionLog.close(logCloseMs))
    await closed('the models', partsCloseMs, models.close())
    await Promise.all([closed('the online store', partsCloseMs, store.close()), closed('the database', partsCloseMs, closeDatabase())])
  }

  /** Asks once more: a database that has gone silent since the last time then drops its connections, which would wait for its goodbye for ever. */
  async function closeDatabase(): Promise<void> {
    await database.value?.ping().catch(() => undefined)
    await database.close()
  }

  async function closed(part: string, ms: number, work: Promise<unknown>): Promise<void> {
    try {
      await withTimeout(work, ms, () => new Error(`It was not closed within ${ms} ms.`))
    } catch (error) {
      log.warn({ part, error: messageOf(error) }, 'a part of the server did not close')
    }
  }

  /** The library is loaded by servers that use it alone. */
  async function listenGrpc(host: string, port: number): Promise<number> {
    const { createGrpcServer } = await import('./protocols/grpc/grpc-server.ts')
    const { grpcMaxStreams: maxStreams, grpcMaxConnections: maxConnections } = options.config
    grpc = createGrpcServer(deps, { firstCallMs: headMs, requestMs, tls, maxStreams, maxConnections })
    return await grpc.listen(host, port)
  }

  function noteReady(): void {
    if (readiness().ready) becameReady()
  }

  /** With jitter, so that many servers do not ask at once; soon again while something is missing. */
  function delayMs(): number {
    return jitter(readiness().ready ? pollMs : Math.min(pollMs, 500))
  }

  function upkeepDelayMs(): number {
    return jitter(Math.min(catalog.loaded === null ? 500 : upkeepMs, 2 * pollMs))
  }

  /** Where a change is not told of, a revoked key is refused within about a second all the same. */
  function keysDelayMs(): number {
    return Math.min(pollMs, 1000) * (0.5 + Math.random() / 2)
  }

  async function refreshKeys(): Promise<void> {
    await database.check()
    await watchKeys()
  }

  function watch(): void {
    loops.push(
      startPollLoop(watchDatabase, delayMs),
      startPollLoop(watchStore, delayMs),
      startPollLoop(watchKeys, keysDelayMs),
      startPollLoop(checkUpkeep, upkeepDelayMs),
    )
    if (options.lead !== false)
      loops.push(
        startPollLoop(dropOldLog, () => dropDelayMs),
        startPollLoop(retention.forgetOld, () => retention.delayMs),
      )
    if (parity !== null) loops.push(startPollLoop(parity.check, () => jitter(parityMs)))
  }

  return {
    async listen(host, port, grpcPort) {
      if (!isLoopback(host)) await requireKeys(host, { keys: traffic.keys, auth: options.config.auth, refresh: refreshKeys, log })
      const { warmMs = 0 } = options
      if (warmMs > 0) {
        watch()
        await Promise.race([ready, sleep(warmMs, { ref: false })])
      }
      await listenOn(http, host, port)
      const boundGrpcPort = grpcPort === undefined ? null : await listenGrpc(host, grpcPort)
      if (warmMs === 0) watch()
      const address = http.address() as AddressInfo
      const url = `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${address.port}`
      return { host, port: address.port, url, grpcPort: boundGrpcPort }
    },
    readiness,
    whenReady: () => ready,
    close() {
      shutting ??= shutDown()
      return shutting
    },
  }
}

/** Named with host and port, without user or password. */
function storeName(redisUrl: string | null | undefined): string {
  const address = parseRedisUrl(redisUrl ?? '')
  return address === null ? 'The online store' : `The online store (Redis at "${redisServers(address)}")`
}
