import { setTimeout as sleep } from 'node:timers/promises'
import type { OpenModel } from '../../inference/open-model.ts'
import { openModel } from '../../inference/open-model.ts'
import type { ProcessPool } from '../../inference/process-pool.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Value, ValueType } from '../../kernel/values/value-type.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Logger } from '../../runtime/log.ts'
import type { VersionMetrics } from './run-metrics.ts'

/** A model version as requests use it. */
export interface ServedModel extends Omit<OpenModel, 'close'> {
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** Counts a request that failed, where `use` measures its time alone. */
  requestFailed(): void
}

export interface OpenedVersion {
  readonly served: ServedModel
  readonly close: () => Promise<void>
}

export interface LoadVersionDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` where they cannot be read now */
  readonly readBytes: (model: string, version: number) => Promise<Uint8Array>
  readonly pool: ProcessPool
  readonly log: Logger
  readonly metrics: VersionMetrics
  /** Called when its trial begins. */
  readonly onTrial: () => void
}

/** A warm-up that takes longer continues in the background, so that the rest of the catalog does not wait for it. */
const warmUpMs = 1000

/** Opens a version as its model declares it, and warms it up. */
export async function loadVersion(
  { readBytes, pool, log, metrics, onTrial }: LoadVersionDeps,
  { catalog, model, version }: { readonly catalog: Catalog; readonly model: CatalogModel; readonly version: ModelVersion },
): Promise<OpenedVersion> {
  const named = { model: model.name, version: version.version }
  const { service, binding } = bindVersion(catalog, model.spec, version)
  const { close, ...opened } = await openModel(() => readBytes(model.name, version.version), {
    binding,
    name: `${model.name}@${version.version}`,
    operational: model.operational,
    onRun: metrics.run,
    onWait: metrics.waited,
    onLookups: metrics.lookedUp,
    onEnd(reason) {
      metrics.ended(reason)
      log.error({ ...named, reason }, 'a model process ended during a run')
    },
    pool,
    log,
    onTrial,
  })
  log.info({ ...named, place: opened.place }, 'a model is loaded')
  // a model may not take the made-up row: the failure is logged, and does not refuse the version
  const warmedUp = opened
    .predict([warmUpRow(service)])
    .catch((error: unknown) => log.warn({ ...named, error: messageOf(error) }, 'a model was not warmed up'))
  await Promise.race([warmedUp, sleep(warmUpMs, undefined, { ref: false })])
  return { served: { ...opened, version, service, requestFailed: metrics.failed }, close }
}

/** A row that the model takes: nothing where a feature can be missing, else zero, or nothing of its kind. */
function warmUpRow({ features }: Pick<ServicePlan, 'features'>): FeatureRow {
  return features.map(({ nullable, type }) => (nullable ? null : zero(type)))
}

function zero(type: ValueType): Value {
  switch (type.kind) {
    case 'bool':
      return false
    case 'int64':
      return 0n
    case 'string':
      return ''
    case 'vector':
      return new Float32Array(type.length)
    default:
      return 0
  }
}
