import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'
import { LockstepError } from '../../kernel/errors.ts'

/**
 * - `busy`: the process had no time left
 * - `full`: too many rows waited
 * - `late`: the rows waited too long
 */
export type DropReason = 'busy' | 'full' | 'late'

export interface ShadowMetrics {
  answered(model: string, version: number, rows: number): void
  failed(model: string, version: number, rows: number): void
  dropped(model: string, version: number, rows: number, reason: DropReason): void
}

/** By what rollups count parts of requests that a shadow did not run. */
export const dropped = new LockstepError('OVERLOADED', 'The rows were not run in shadow: the server had no time for them.')

export function createShadowMetrics(registry: Registry): ShadowMetrics {
  const rows = new Counter({
    name: 'lockstep_shadow_rows_total',
    help: 'Rows that a shadow took, by result: answered, failed, or dropped because the server was busy, its queue was full, or they waited too long (late).',
    labelNames: ['model', 'version', 'result'],
    registers: [registry],
  })
  return {
    answered: (model, version, count) => rows.inc({ model, version, result: 'answered' }, count),
    failed: (model, version, count) => rows.inc({ model, version, result: 'failed' }, count),
    dropped: (model, version, count, reason) => rows.inc({ model, version, result: reason }, count),
  }
}
