import type { LoggedPrediction } from '../../../monitoring/prediction-log/columns.ts'
import { parseSnapshot } from '../../../runtime/postgres/snapshot-bounds.ts'

/** A row of the prediction log. */
export function loggedRow(at: number, more: Partial<LoggedPrediction> = {}): LoggedPrediction {
  return {
    at,
    requestId: 'r',
    predictionId: null,
    entity: 0,
    model: 'm',
    version: 1,
    service: 's@1',
    serviceFingerprint: 'f',
    asOf: at,
    entities: [],
    keys: '{}',
    request: '{}',
    features: '{}',
    statuses: '{}',
    reads: '[]',
    outputs: '{}',
    latencyMicros: 1,
    apiKey: null,
    degraded: false,
    skewed: false,
    snapshot: parseSnapshot('3:7:4,5'),
    role: 'champion',
    experiment: null,
    variant: null,
    stages: null,
    bypassed: null,
    ...more,
  }
}
