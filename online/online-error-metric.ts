import type { Registry } from 'prom-client'
import { LockstepError } from '../kernel/errors.ts'
import { sharedCounter } from '../runtime/metrics.ts'

/** Counts failures of the online store. All callers in a process share one metric. */
export function createOnlineErrorMetric(registry: Registry): (error: unknown) => void {
  const counter = sharedCounter(registry, {
    name: 'lockstep_online_errors_total',
    help: 'Reads and writes that failed in the online store, by the code of the error or of the answer of Redis.',
    labelNames: ['code'],
  })
  return (error) => {
    const { code, details } = error instanceof LockstepError ? error : { code: 'INTERNAL', details: {} }
    // caused by the entity's own data
    if (code === 'TOO_MANY_CATEGORIES') return
    const answered = 'redis' in details ? details.redis : null
    counter.inc({ code: typeof answered === 'string' ? answered : code })
  }
}
