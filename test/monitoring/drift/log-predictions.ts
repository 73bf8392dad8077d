import { encodeKey } from '../../../kernel/values/entity-key.ts'
import type { ServicePlan, ServiceRow } from '../../../kernel/service-plan.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import { createLogMetrics } from '../../../monitoring/prediction-log/log-metrics.ts'
import { createPredictionLog } from '../../../monitoring/prediction-log/prediction-log.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createMetricsRegistry } from '../../../runtime/metrics.ts'
import type { Database } from '../../../runtime/postgres/database.ts'

interface Logged {
  readonly model: string
  readonly at: number
  readonly service: ServicePlan
  readonly rows: readonly ServiceRow[]
  readonly request: readonly Value[]
  readonly predictions: readonly (readonly Value[])[]
}

/** Logs predictions for as many airports. */
export async function logPredictions(
  db: Database,
  catalog: Catalog,
  { model, at, service, rows, request, predictions }: Logged,
): Promise<void> {
  const predictionLog = createPredictionLog(
    {
      database: () => db,
      metrics: (waiting) => createLogMetrics(createMetricsRegistry(), waiting),
      log: createLogger('silent'),
      clock: () => at,
    },
    { shares: { share: 1, models: new Map() }, retentionDays: 7, flushMs: 60_000 },
  )
  const entities = rows.map((_, i) => ({
    keys: service.uses.map(() => encodeKey([{ name: 'airport', type: { kind: 'string' } }], [`A${i}`])),
    request,
  }))
  predictionLog.note({
    requestId: `logged ${model}`,
    predictionBase: `logged ${model}`,
    model,
    version: 1,
    role: 'champion',
    experiment: null,
    variant: null,
    service,
    outputs: catalog.model(model).spec.output,
    read: { entities, rows, asOf: at, degraded: false, skewed: false, origins: () => [] },
    rows: rows.map((_, row) => row),
    predictions,
    startedMs: performance.now(),
    apiKey: null,
  })
  await predictionLog.close(60_000)
}
