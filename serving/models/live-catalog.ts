import type { Logger } from '../../runtime/log.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import { requireMigrated } from '../../runtime/postgres/migrated.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { catalogRevision } from '../../registry/revision.ts'
import type { TransformGuard } from '../../registry/transform-guard.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Refresher } from '../lifecycle/refresher.ts'
import { createRefresher } from '../lifecycle/refresher.ts'
import type { KeptUnits } from '../rollouts/kept-units.ts'
import type { ModelHost } from './model-host.ts'

/** How long after it failed a version is tried again. */
const retryMs = 30_000

/**
 * The catalog that requests are answered by, and the model versions that serve by it. The catalog is replaced as one
 * object, so a request has one catalog from beginning to end.
 */
export interface LiveCatalog extends Pick<Refresher, 'refresh' | 'failure' | 'distrust'> {
  /** @throws LockstepError `NOT_READY` while none was loaded */
  current(): Catalog
  /** null until the first load. */
  readonly loaded: Catalog | null
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
  let preparedMs = 0

  async function load(db: Database, isDistrusted: boolean): Promise<void> {
    if (catalog === null) await requireMigrated(db.kysely)
    if (catalog === null || (await catalogRevision(db)) !== catalog.revision || isDistrusted) {
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

  const refresher = createRefresher({
    load,
    log,
    failed: 'the registry cannot be read',
    late: 'The registry and its models were not loaded',
  })

  function reload(db: Database): void {
    refresher.distrust()
    void refresher.refreshAfresh(db)
  }

  return {
    current() {
      if (catalog !== null) return catalog
      throw new LockstepError('NOT_READY', 'The server has not loaded the registry yet; GET /readyz says why. Try again soon.')
    },
    get loaded() {
      return catalog
    },
    get failure() {
      return refresher.failure
    },
    refresh: refresher.refresh,
    distrust: refresher.distrust,
  }
}

/** The catalog with other runs of experiments. */
function withRuns(catalog: Catalog, runs: ReadonlyMap<ExperimentRun, ExperimentRun>): Catalog {
  const models = new Map(
    [...catalog.models].map(([name, model]) => [name, { ...model, experiments: model.experiments.map((run) => runs.get(run) ?? run) }]),
  )
  return { ...catalog, models, model: (name) => models.get(name) ?? catalog.model(name) }
}
