import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCheckpointOwner } from '../online/checkpoint-owner.ts'
import { sleep } from '../runtime/async.ts'
import { readAudit } from '../runtime/audit.ts'
import { logNothing } from '../runtime/settings/log-shares.ts'
import { noStreamServers } from '../runtime/streams/open-consumer.ts'
import { openTlsPair } from '../runtime/tls-pair.ts'
import { disablePretenuring, growYoungFaster } from '../runtime/v8-flags.ts'
import type { ServingContext } from './context.ts'
import { createFeatureReader } from './features/feature-reader.ts'
import { createLateViews } from './features/late-views.ts'
import { createOnlineViews } from './features/online-views.ts'
import { createReadCatalogs } from './features/read-catalog.ts'
import { createServedAgeMetrics } from './features/served-age-metrics.ts'
import { openStaleCache } from './features/stale-cache.ts'
import { createTransformWatch } from './features/transform-watch.ts'
import { createLeadProcess } from './lifecycle/lead-process.ts'
import { createOwnWatches } from './lifecycle/own-watches.ts'
import { about, createReadiness } from './lifecycle/readiness.ts'
import type { ServerStatus } from './lifecycle/server-status.ts'
import { shutDown } from './lifecycle/shut-down.ts'
import { createStores } from './lifecycle/stores.ts'
import { createServerWatch } from './lifecycle/watch-server.ts'
import { createServingMetrics } from './metrics.ts'
import { createLiveCatalog, reachRevision } from './models/live-catalog.ts'
import { createModelChanges } from './models/model-changes.ts'
import { createModelHost } from './models/model-host.ts'
import { createModelPreloader } from './models/preload-model.ts'
import { modelBytes } from './models/model-bytes.ts'
import { createListeners } from './protocols/listeners.ts'
import { createPushedEvents } from './pushed-events.ts'
import { createRecorders } from './recorders.ts'
import { createKeptUnits } from './rollouts/kept-units.ts'
import { createShadowRunner } from './rollouts/shadow-runner.ts'
import type { LockstepServer, ServerOptions } from './server-options.ts'
import { createIdempotency } from './traffic/idempotency.ts'
import { requireKeys } from './traffic/require-keys.ts'
import { createTraffic } from './traffic/traffic.ts'
import { createUploads } from './uploads/uploads.ts'

/** How long a change of the registry waits for a model that it needs. */
const patienceMs = 500

/**
 * The serving process: watches the registry and the stores, and answers HTTP and gRPC. It starts while PostgreSQL or
 * Redis is down, and becomes ready once they answer. If PostgreSQL fails later, it still answers requests that need
 * no history. From then on V8 allocates all objects of the process young, in a generation that grows fast
 * (`runtime/v8-flags.ts`).
 */
export function createServer(options: ServerOptions): LockstepServer {
  disablePretenuring()
  growYoungFaster()
  const { config, log, clock, headMs = 10_000, requestMs = 60_000, onUnavailable = 'error' } = options
  const { pollMs = 2000, warmMs = 0, drainMs = 10_000 } = options
  let closing: Promise<void> | null = null
  const drained = new AbortController()

  // the stores and the registry
  const files = config.tls ?? null
  const tls = files === null ? null : openTlsPair(files, { log, metrics: options.metrics, now: Date.now })
  const stores = createStores({ database: options.database, store: options.store, redisUrl: config.redisUrl ?? null, log })
  const { needDatabase, needOnline } = stores
  const metrics = createServingMetrics(options.metrics)
  const models = createModelHost({
    readBytes: async (model, version) => await modelBytes(needDatabase(), model, version),
    metrics: metrics.runs,
    onVersions: metrics.models.versions,
    log,
    now: () => performance.now(),
    patienceMs,
    ...(options.keeps === undefined ? {} : { keeps: options.keeps }),
  })
  const transforms = createTransformWatch(options.metrics, log)
  const catalog = createLiveCatalog({ models, transforms, keptUnits: createKeptUnits(() => performance.now(), log), log })
  const preloadModel = createModelPreloader({ database: needDatabase, catalog, models, transforms, log })
  const traffic = createTraffic(config, { log, registry: options.metrics })

  // features
  const late = createLateViews((view) => catalog.current().online.has(view), clock)
  const views = createOnlineViews(metrics.onlineViews, log, late, () => options.defaultAsOf ?? clock())
  const readCatalogOf = createReadCatalogs(() => views.complete)
  const staleCache = openStaleCache(config)
  const owner = createCheckpointOwner(needDatabase)
  const logShares = config.logShares ?? logNothing
  const { rollups, exposures, predictionLog, bypass } = createRecorders(options, { catalog, database: needDatabase, logShares })
  const ages = createServedAgeMetrics(options.metrics, clock, rollups.servedAge)
  const readBy = { owner, needDatabase, needOnline, views, staleCache, late, ages, signal: drained.signal }
  const { roundTrips } = metrics
  const { reader, explain, explainWindow, limitHistory } = createFeatureReader({ ...readBy, traffic, metrics, roundTrips, log })
  const { intake, folding } = createPushedEvents(options, { database: needDatabase, store: needOnline, catalog, metrics })

  const shadows = createShadowRunner(
    { catalog: catalog.current, models, reader, predictionLog, rollups, registry: options.metrics, log },
    { isBusy: () => traffic.admission.isBusy, ...options.shadows },
  )

  const filesDirectory = config.filesDirectory ?? join(tmpdir(), 'lockstep-files')
  const uploads = createUploads({ folder: join(filesDirectory, 'uploads'), limitBytes: config.uploadLimitBytes ?? 10 * 2 ** 30 })

  const { auditRetentionDays = 365, evidenceRetentionDays = 365, parityPerMinute = 0 } = config
  const led = { stores, catalog, predictionLog, uploads, limitHistory, signal: drained.signal, clock, log, metrics: options.metrics }
  const lead = options.lead === false ? null : createLeadProcess({ ...led, auditRetentionDays, evidenceRetentionDays, parityPerMinute })

  // readiness
  const own = createOwnWatches(log, lead?.freshness ?? null, options.workerGraceMs)
  const readiness = createReadiness({
    closing: () => closing !== null,
    stores,
    catalog,
    views,
    keys: traffic.keys,
    needsStore: onUnavailable === 'error',
    warnings: () => [
      ...about('models', models.failures),
      ...about('views', views.warnings),
      ...own.warnings(),
      ...about('transforms', transforms.warnings),
      ...about('certificate', tls?.warnings() ?? []),
      ...about('prediction log', predictionLog.warnings()),
      ...about('statistics', rollups.warnings()),
    ],
  })
  const watched = { stores, catalog, models, views, owner, traffic, staleCache, rollups, readiness, preloadModel, own }
  const watch = createServerWatch({ ...watched, pollMs, more: () => lead?.start() ?? [] })

  // protocols
  const ownStatus: ServerStatus = { readiness: async () => readiness.current(), metrics: () => options.metrics.metrics() }
  const context: ServingContext = {
    catalog: catalog.current,
    readCatalog: () => readCatalogOf(catalog.current()),
    reader,
    models,
    modelChanges: createModelChanges(needDatabase, catalog, models),
    reachRevision: (revision) => reachRevision(catalog, needDatabase(), revision),
    intake,
    upkeep: {
      database: needDatabase,
      store: needOnline,
      storeKind: (config.redisUrl ?? null) === null ? 'embedded' : 'redis',
      replayMs: options.replayMs,
      streams: { ...noStreamServers, ...config },
      folding,
    },
    privateAddresses: config.alertPrivateAddresses ?? false,
    defaultMonitors: config.defaultMonitors ?? true,
    idempotency: createIdempotency(needDatabase),
    uploads,
    datasetsDirectory: join(filesDirectory, 'datasets'),
    audit: (filter) => readAudit(needDatabase(), filter),
    explain,
    explainWindow,
    traffic,
    readiness: readiness.current,
    status: options.status?.(ownStatus) ?? ownStatus,
    metricsAt: (config.metricsPort ?? null) === null ? (config.metricsAuth ?? 'off') : 'elsewhere',
    closing: () => closing !== null,
    metrics,
    tracing: options.tracing ?? null,
    predictionLog,
    rollups,
    exposures,
    shadows,
    bypass,
    logShares,
    log,
    clock,
    defaultAsOf: options.defaultAsOf ?? null,
    onUnavailable,
    bodyLimitBytes: config.bodyLimitBytes,
    idleBackfillMs: options.idleBackfillMs ?? 60_000,
    corsOrigins: config.corsOrigins ?? [],
  }

  const listeners = createListeners(context, { ...options, tls, headMs, requestMs })

  return {
    predicting: { context, database: needDatabase, store: needOnline },
    start: () => watch.start(),
    async listen(host, port, grpcPort) {
      await requireKeys(host, { keys: traffic.keys, auth: config.auth, refresh: watch.refreshKeys, log })
      if (warmMs > 0) watch.start()
      if (warmMs > 0) await Promise.race([readiness.whenReady, sleep(warmMs, { ref: false })])
      const at = await listeners.listen(host, port, grpcPort)
      if (warmMs === 0) watch.start()
      return at
    },
    readiness: readiness.current,
    refresh: watch.refresh,
    whenReady: () => readiness.whenReady,
    close() {
      shadows.close()
      const parts = { traffic, tls, intake, drained, watch, predictionLog, rollups, exposures, models, stores, log }
      closing ??= shutDown({ ...parts, delayMs: config.shutdownDelayMs ?? 0, drainMs, closeMs: options.closeMs, drains: listeners.drains })
      return closing
    },
  }
}
