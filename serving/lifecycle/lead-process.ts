import type { Registry } from 'prom-client'
import { registerFreshness } from '../../monitoring/freshness/freshness-metrics.ts'
import type { FreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import { createFreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import { createParityWatch } from '../../monitoring/parity/parity-watch.ts'
import type { PollLoop, Semaphore } from '../../runtime/async.ts'
import { jitter, startPollLoop } from '../../runtime/async.ts'
import type { RetentionDeps } from './retention.ts'
import { startRetention } from './retention.ts'
import type { Stores } from './stores.ts'
import type { LiveCatalog } from '../models/live-catalog.ts'

export interface LeadDeps extends RetentionDeps {
  readonly stores: Stores
  readonly catalog: LiveCatalog
  readonly metrics: Registry
  /** Limits the reads of the history. */
  readonly limitHistory: Semaphore
  /** How many logged vectors are compared with the history each minute. */
  readonly parityPerMinute: number
  readonly clock: () => number
  /** Ends reads of the history. */
  readonly signal: AbortSignal
}

const parityMs = 60_000

/** The work that one of the server processes of a machine does for all: freshness, parity and retention. */
export interface LeadProcess {
  readonly freshness: FreshnessReader
  start(): PollLoop[]
}

export function createLeadProcess(deps: LeadDeps): LeadProcess {
  const { stores, catalog, metrics, limitHistory, parityPerMinute, log, clock, signal } = deps
  const freshness = createFreshnessReader({
    database: () => stores.database.available,
    store: () => stores.online.value,
    catalog: async () => catalog.loaded,
  })
  registerFreshness(metrics, freshness)
  const history = { database: stores.needDatabase, catalog: catalog.current, inTurn: limitHistory }
  const parity = parityPerMinute === 0 ? null : createParityWatch({ ...history, metrics, log, clock, signal }, { vectors: parityPerMinute })
  return {
    freshness,
    start: () => [...startRetention(deps), ...(parity === null ? [] : [startPollLoop(parity.check, () => jitter(parityMs))])],
  }
}
