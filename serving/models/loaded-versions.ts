import { createProcessPool } from '../../inference/process-pool.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Logger } from '../../runtime/log.ts'
import type { ServedModel } from './load-version.ts'
import { identityOf, LoadedVersion } from './loaded-version.ts'
import type { RunMetrics } from './run-metrics.ts'
import { mayAnswer, reserves } from './version-rules.ts'

export interface LoadedVersionsDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` where they cannot be read now */
  readonly readBytes: (model: string, version: number) => Promise<Uint8Array>
  readonly metrics: RunMetrics
  readonly log: Logger
  /** Milliseconds, for the times of trials and uses. */
  readonly now: () => number
}

/** The model versions in memory. */
export interface LoadedVersions {
  /**
   * Loads a version, unless that has begun already.
   *
   * @throws LockstepError `NOT_READY` after `close`
   */
  open(catalog: Catalog, model: CatalogModel, version: ModelVersion): LoadedVersion
  /** The version as this model declares it; null: it is not loaded. */
  served(model: CatalogModel, version: ModelVersion): ServedModel | null
  isLoaded(model: CatalogModel, version: ModelVersion): boolean
  /** Whether the trial of a version of the model has taken long already. */
  isInSlowTrial(model: string): boolean
  /** Loads the versions that may serve next, one after the other, until it is called with a newer catalog. */
  loadReserves(catalog: Catalog, kept: ReadonlyMap<string, CatalogModel>): Promise<void>
  /**
   * Unloads versions that no model has, and unused ones, each once no request uses it.
   *
   * @param kept models whose reserves stay loaded
   * @param answering versions that stay loaded, as the reserves do
   */
  retire(catalog: Catalog, kept: readonly CatalogModel[], answering: readonly (readonly [CatalogModel, ModelVersion])[]): void
  /** Empties the prediction caches. */
  forgetAnswers(): void
  /** Waits until no request uses a model. */
  close(): Promise<void>
}

const failureKeptMs = 2000
const unusedMs = 5 * 60_000
/**
 * A version whose trial did not end is loaded again after this time, because a busy machine may have been the cause.
 */
const untriedKeptMs = 5 * 60_000
/** The start of a server does not wait for a trial that takes longer. */
const slowTrialMs = 1500

export function createLoadedVersions({ readBytes, metrics, log, now }: LoadedVersionsDeps): LoadedVersions {
  const entries = new Map<string, LoadedVersion>()
  const pool = createProcessPool()
  /** The catalog whose reserves are loaded last. */
  let newestCatalog: Catalog | null = null
  let closed = false

  /** Unloads a version whose trial did not end after a time, unless it may answer. */
  function limitUntried(id: string, entry: LoadedVersion, model: CatalogModel, served: ServedModel): void {
    if (served.tried) return
    const unloadIfUntried = () => {
      if (entries.get(id) === entry && !mayAnswer(newestCatalog?.models.get(model.name) ?? model, served)) unload(id, entry)
    }
    setTimeout(unloadIfUntried, untriedKeptMs).unref()
  }

  /**
   * Keeps a failure for a moment, so that requests do not repeat a load that fails. A database that is down may be
   * back by the next request.
   */
  function keepFailure(id: string, entry: LoadedVersion, error: unknown): void {
    const forget = () => {
      if (entries.get(id) === entry) entries.delete(id)
    }
    if (isUnavailable(error)) forget()
    else setTimeout(forget, failureKeptMs).unref()
  }

  function unload(id: string, entry: LoadedVersion): void {
    entries.delete(id)
    entry.close().catch((error: unknown) => log.warn({ error: messageOf(error) }, 'a model could not be unloaded'))
  }

  function open(catalog: Catalog, model: CatalogModel, version: ModelVersion): LoadedVersion {
    // a load that starts after the close would leave its process behind
    if (closed) throw shutDown
    const id = identityOf(model, version)
    const known = entries.get(id)
    if (known !== undefined) {
      known.revision = Math.max(known.revision, catalog.revision)
      return known
    }
    const deps = { readBytes, pool, log, metrics: metrics.of(model.name, version.version), now }
    const entry = new LoadedVersion(deps, catalog, model, version)
    entries.set(id, entry)
    entry.loading.then(
      ({ served }) => limitUntried(id, entry, model, served),
      (error: unknown) => keepFailure(id, entry, error),
    )
    return entry
  }

  function served(model: CatalogModel, version: ModelVersion): ServedModel | null {
    return entries.get(identityOf(model, version))?.served ?? null
  }

  return {
    open,
    served,
    isLoaded(model, version) {
      const found = served(model, version)
      return found !== null && mayAnswer(model, found)
    },
    isInSlowTrial: (model) => [...entries.values()].some((entry) => entry.model === model && entry.isInTrialFor(slowTrialMs)),
    async loadReserves(catalog, kept) {
      if (closed) return
      newestCatalog = catalog
      for (const model of kept.values()) {
        for (const version of reserves(model)) {
          await open(catalog, model, version).loading.catch((error: unknown) =>
            log.warn(
              { model: model.name, version: version.version, error: messageOf(error) },
              'a model version that may be served next does not load',
            ),
          )
          if (newestCatalog !== catalog) return
        }
      }
    },
    retire({ models, revision }, keptModels, answering) {
      const known = new Set(
        [...models.values(), ...keptModels].flatMap((model) => model.versions.map((version) => identityOf(model, version))),
      )
      const kept = new Set([
        ...keptModels.flatMap((model) => reserves(model).map((version) => identityOf(model, version))),
        ...answering.map(([model, version]) => identityOf(model, version)),
      ])
      for (const [id, entry] of entries) {
        // an older catalog does not have what was loaded for a newer one
        if (entry.revision > revision || kept.has(id) || (known.has(id) && !entry.isUnusedFor(unusedMs))) continue
        unload(id, entry)
      }
    },
    forgetAnswers() {
      for (const { loading } of entries.values()) {
        loading.then(
          (loaded) => loaded.served.forgetAnswers(),
          () => undefined,
        )
      }
    },
    async close() {
      closed = true
      newestCatalog = null
      const open = [...entries.values()]
      entries.clear()
      // a request continues after its client disconnects
      await Promise.allSettled(open.map((entry) => entry.close()))
      pool.close()
    },
  }
}

export const shutDown = new LockstepError('NOT_READY', 'The server is shutting down.')

/** Whether the version may load once the database is available again. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE'
}
