import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import { messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { ParityReport } from './check-parity.ts'
import { checkParity } from './check-parity.ts'
import { verdicts } from './classify.ts'
import { storeParity } from './stored-parity.ts'

export interface ParityWatchDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @throws LockstepError `NOT_READY` */
  readonly catalog: () => Pick<Catalog, 'services'>
  /** Runs a check in the queue of all readers of the history. */
  readonly inTurn: <T>(run: () => Promise<T>) => Promise<T>
  readonly metrics: Registry
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
  readonly signal: AbortSignal
}

export interface ParityWatchOptions {
  /** The maximum number of vectors in one check. */
  readonly vectors: number
  /** How long after it was logged a vector is checked, so that late rows have arrived. Default: 5 min. */
  readonly delayMicros?: number
}

const defaultDelayMicros = 300_000_000
/** Older vectors are skipped: a server that was down does not catch up. */
const maxAgeMicros = 600_000_000
const checkMs = 30_000

/** Checks some of the vectors that were logged since the last check, and counts the results in metrics. */
export interface ParityWatch {
  /** Never rejects. */
  check(): Promise<void>
}

export function createParityWatch(deps: ParityWatchDeps, { vectors, delayMicros = defaultDelayMicros }: ParityWatchOptions): ParityWatch {
  const { log, clock } = deps
  const registers = [deps.metrics]
  const values = new Counter({
    name: 'lockstep_parity_values_total',
    help: 'Logged feature values that were recomputed from the offline history, by verdict: equal, tie, ttl, stale, late, erased, other.',
    labelNames: ['service', 'feature', 'verdict'],
    registers,
  })
  const checked = new Counter({ name: 'lockstep_parity_vectors_total', help: 'Logged vectors that were recomputed.', registers })
  const skipped = new Counter({
    name: 'lockstep_parity_skipped_total',
    help: 'Logged vectors that could not be recomputed, by reason: definitions, degraded, unreadable.',
    labelNames: ['reason'],
    registers,
  })
  const failures = new Counter({ name: 'lockstep_parity_failures_total', help: 'Parity checks that failed.', registers })
  const last = new Gauge({
    name: 'lockstep_parity_checked_timestamp_seconds',
    help: 'When parity was last checked, in seconds since 1970.',
    registers,
  })
  let checkedUntil = Number.NEGATIVE_INFINITY
  let failing = false

  function count({ features, skipped: unchecked, vectors: recomputed, examples }: ParityReport): void {
    checked.inc(recomputed)
    for (const [reason, amount] of Object.entries(unchecked)) if (amount > 0) skipped.inc({ reason }, amount)
    for (const feature of features) {
      for (const verdict of verdicts) {
        const labels = { service: feature.service, feature: feature.feature, verdict }
        if (feature[verdict] > 0) values.inc(labels, feature[verdict])
      }
    }
    // without key or value, which are data of an entity
    for (const { verdict, service, feature, requestId, entity } of examples)
      log.warn({ verdict, service, feature, requestId, entity }, 'a served value differs from the history')
  }

  return {
    async check() {
      const until = clock() - delayMicros
      const since = Math.max(checkedUntil, until - maxAgeMicros)
      if (since >= until) return
      try {
        const signal = AbortSignal.any([deps.signal, AbortSignal.timeout(checkMs)])
        const options = { since, until, limit: vectors, order: 'random', signal } as const
        const report = await deps.inTurn(() => checkParity(deps.database(), deps.catalog(), options))
        count(report)
        await storeParity(deps.database(), report, until)
        checkedUntil = until
        last.set(clock() / 1e6)
        failing = false
      } catch (error) {
        if (deps.signal.aborted) return
        failures.inc()
        if (!failing) log.warn({ error: messageOf(error) }, 'parity cannot be checked')
        failing = true
      }
    },
  }
}
