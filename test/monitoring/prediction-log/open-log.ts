import { Registry } from 'prom-client'
import { encodeKey } from '../../../kernel/values/entity-key.ts'
import { Status } from '../../../kernel/states/state.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createLogMetrics } from '../../../monitoring/prediction-log/log-metrics.ts'
import { createPredictionLog } from '../../../monitoring/prediction-log/prediction-log.ts'
import { servicePlan } from '../../serving/plans.ts'

/** A log that is written when it is closed, and what notes the flights from one airport to another in it. */
export function openLog(db: Database, at: number, registry = new Registry(), database = () => db) {
  const service = servicePlan('route')
  const log = createPredictionLog(
    {
      database,
      metrics: (waiting) => createLogMetrics(registry, waiting),
      log: createLogger('silent'),
      clock: () => at,
    },
    { shares: { share: 1, models: new Map() }, retentionDays: 1, flushMs: 60_000 },
  )
  const note = (...routes: readonly (readonly [string, string])[]) => {
    const key = [{ name: 'airport', type: { kind: 'string' } }] as const
    const entities = routes.map((airports) => ({ keys: airports.map((airport) => encodeKey(key, [airport])), request: [] }))
    const row = {
      values: service.features.map(() => null),
      statuses: service.features.map(() => Status.notFound),
      eventTimes: service.features.map(() => null),
      missing: [],
    }
    log.note({
      requestId: `${at}`,
      predictionBase: `${at}`,
      model: 'm',
      version: 1,
      service,
      outputs: [],
      read: { entities, rows: entities.map(() => row), asOf: at, degraded: false, skewed: false, origins: () => [] },
      rows: entities.map((_, row) => row),
      predictions: [],
      startedMs: 0,
      apiKey: null,
      role: 'champion',
      experiment: null,
      variant: null,
    })
  }
  return { note, close: () => log.close(60_000) }
}
