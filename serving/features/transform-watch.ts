import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'
import type { TransformGuard } from '../../registry/transform-guard.ts'
import { createTransformGuard } from '../../registry/transform-guard.ts'
import type { Logger } from '../../runtime/log.ts'

/**
 * How long one call of a transform may hold up a server, and how long one that was broken off in the last minute may.
 */
const budgetMs = 500
const strictMs = 25
const strictForMs = 60_000

export interface TransformWatch extends TransformGuard {
  /** For `GET /readyz`. */
  readonly warnings: readonly string[]
}

/** The guard of a server's transforms, which counts and logs those that it breaks off. */
export function createTransformWatch(registry: Registry, log: Logger): TransformWatch {
  const timeouts = new Counter({
    name: 'lockstep_transform_timeouts_total',
    help: 'Calls of transforms that were stopped because they did not end in time.',
    labelNames: ['view'],
    registers: [registry],
  })
  const guard = createTransformGuard({
    budgetMs,
    strictMs,
    strictForMs,
    onTimeout(view, ms, again) {
      timeouts.inc({ view })
      // a caller that repeats it shall not fill the log
      if (!again) log.error({ view, ms: Math.round(ms) }, 'a transform did not end in time and was stopped')
    },
  })
  return {
    ...guard,
    get warnings() {
      return guard
        .strict()
        .map(
          (view) =>
            `The transform of "${view}" did not end in time on an input of the last minute. Until a minute passes without a timeout, a call may take ${strictMs} ms instead of ${budgetMs}.`,
        )
    },
  }
}
