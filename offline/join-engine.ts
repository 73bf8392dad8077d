import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { SourceFiles } from './duckdb/source-files.ts'
import type { JoinedBatch } from './datasets/assemble.ts'
import type { JoinOptions, JoinSummary } from './join.ts'
import { joinSpine } from './join.ts'
import type { SpineOptions } from './spine/open-spine.ts'
import { openSpine } from './spine/open-spine.ts'
import type { Spine, SpineInput } from './spine/spine.ts'
import { settledNow } from './rows/stream-bounds.ts'

/** Sorts the rows of sources and spines for the point-in-time join. All engines give the same values. */
export interface JoinEngine {
  /** As `openSpine`. */
  openSpine(service: ServicePlan, input: SpineInput, options: SpineOptions): Promise<Spine>
  /** As `joinSpine`. */
  join(
    service: ServicePlan,
    spine: Spine,
    options: JoinOptions,
    consume: (batch: JoinedBatch) => Promise<void> | void,
  ): Promise<JoinSummary>
  /** The transaction below which all rows are settled now. */
  settledNow(signal: AbortSignal | undefined): Promise<number>
}

/** An engine over files. */
export interface FileEngine extends JoinEngine {
  readonly name: 'duckdb'
  /**
   * The files that were read.
   *
   * @throws LockstepError `FILE_CHANGED` where one has changed since its rows were read
   */
  pinned(signal: AbortSignal | undefined): Promise<readonly SourceFiles[]>
  close(): Promise<void>
}

/** PostgreSQL, or PGlite: the rows are in tables. */
export function postgresEngine(db: Database): JoinEngine {
  return {
    openSpine: (service, input, options) => openSpine(db, service, input, options),
    join: (service, spine, options, consume) => joinSpine(db, service, spine, options, consume),
    settledNow: (signal) => settledNow(db, signal),
  }
}
