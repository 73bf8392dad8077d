import type { Logger } from '../../runtime/log.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import { requireMigrated } from '../../runtime/postgres/migrated.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { catalogRevision } from '../../registry/revision.ts'
import type { TransformGuard } from '../../registry/transform-guard.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { withTimeout } from '../../runtime/async.ts'
import type { KeptUnits } from '../rollouts/kept-units.ts'
import type { ModelHost } from './model-host.ts'

const deadlineMs = 5000
/** How long after it failed a version is tried again. */
const retryMs = 30_000

/**
 * The catalog that requests are answered by. It is replaced as one object, so a request has one catalog from beginning
 * to end.
 */
export interface LiveCatalog {
  /** @throws LockstepError `NOT_READY` while none was loaded */
  current(): Catalog
  /** null until the first load. */
  readonly loaded: Catalog | null
  /** Why the last refresh failed, or null. It may name the database's host: for the operator, not for clients. */
  readonly failure: string | null
  /**
   * Loads a changed registry, and the model versions that serve by it. Never rejects: if it fails, the present catalog
   * stays. A refresh that takes longer than the deadline counts as failed until it is done. No second one starts
   * meanwhile.
   */
  refresh(db: Database): Promise<void>
  /** The next refresh loads the registry even if its revision is the same: a restored database counts it again. */
  distrust(): void
}

/**
 * Refreshes until a revision of the registry is loaded, at most twice: the first refresh may have read the registry
 * before.
 *
 * @returns whether it is loaded
 */
export async function reachRevision(catalog: LiveCatalog, db: Database, revision: number): Promise<boolean> {
  const isReached = (): boolean => catalog.loaded !== null && catalog.loaded.revision >= revision
  for (let i = 0; i < 2 && !isReached(); i++) await catalog.refresh(db)
  return isReached()
}

export function createLiveCatalog({
  models,
  transforms,
  keptUnits,
  log,
}: {
  readonly models: ModelHost
  readonly transforms: TransformGuard
  readonly keptUnits: KeptUnits
  readonly log: Logger
}): LiveCatalog {
  let catalog: Catalog | null = null
  let failure: string | null = null
  let underWay: Promise<void> | null = null
  let preparedMs = 0
  /**
   * How often it was asked to load the registry again although it has not changed, and how many of these are answered.
   */
  let reloadsAsked = 0
  let reloadsAnswered = 0

  async function load(db: Database): Promise<void> {
    if (catalog === null) await requireMigrated(db.kysely)
    if (catalog === null || (await catalogRevision(db)) !== catalog.revision || reloadsAnswered < reloadsAsked) {
      const asked = reloadsAsked
      faultPoint('registry: changed')
      const next = await loadCatalog(db, transforms)
      faultPoint('registry: read')
      for (const [id, error] of next.broken) log.error({ definition: id, error: error.message }, 'a definition cannot be used')
      // Models are loaded before the first request can ask for them.
      await models.prepare(next)
      const former = await keptUnits.load(db, next, () => reload(db))
      preparedMs = performance.now()
      faultPoint('registry: models loaded')
      catalog = former.size === 0 ? next : withRuns(next, former)
      reloadsAnswered = asked
      faultPoint('registry: in force')
      log.info({ revision: next.revision, services: next.services.size, models: next.models.size }, 'the registry is loaded')
    } else {
      await keptUnits.load(db, catalog, () => reload(db))
      if (models.failures.length > 0 && performance.now() - preparedMs >= retryMs) {
        preparedMs = performance.now()
        await models.prepare(catalog)
      }
    }
    models.retire(catalog)
  }

  function reload(db: Database): void {
    reloadsAsked++
    // a load that is under way may have begun before
    void (underWay ?? Promise.resolve()).catch(() => undefined).then(() => live.refresh(db))
  }

  const live: LiveCatalog = {
    current() {
      if (catalog !== null) return catalog
      throw new LockstepError('NOT_READY', 'The server has not loaded the registry yet; GET /readyz says why. Try again soon.')
    },
    get loaded() {
      return catalog
    },
    get failure() {
      return failure
    },
    async refresh(db) {
      underWay ??= load(db).finally(() => (underWay = null))
      const timeoutError = () =>
        new LockstepError(
          'POSTGRES_UNAVAILABLE',
          `The registry and its models were not loaded within ${deadlineMs / 1000} s; the server keeps waiting.`,
        )
      try {
        await withTimeout(underWay, deadlineMs, timeoutError)
        failure = null
      } catch (error) {
        const message = messageOf(error)
        if (message !== failure) log.warn({ error: message }, 'the registry cannot be read')
        failure = message
      }
    },
    distrust() {
      reloadsAsked++
    },
  }
  return live
}

/** The catalog with other runs of experiments. */
function withRuns(catalog: Catalog, runs: ReadonlyMap<ExperimentRun, ExperimentRun>): Catalog {
  const models = new Map(
    [...catalog.models].map(([name, model]) => [name, { ...model, experiments: model.experiments.map((run) => runs.get(run) ?? run) }]),
  )
  return { ...catalog, models, model: (name) => models.get(name) ?? catalog.model(name) }
}
