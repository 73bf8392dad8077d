import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Actor } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'

/** Begins and shows backfills: the materializer's, which the server is given. What it answers is JSON. */
export interface Backfills {
  /** The newest, the running ones first. */
  list(): Promise<readonly object[]>
  /** @throws LockstepError `NOT_FOUND` */
  get(id: number): Promise<object>
  /** @throws LockstepError `INVALID_REQUEST`, `STORE_MISMATCH`, `POSTGRES_UNAVAILABLE`, `REDIS_UNAVAILABLE` */
  begin(plan: ViewPlan, options: BackfillRequest): Promise<object>
  /** Brings the view up to what has arrived, here and at once. @throws LockstepError as `begin`, and what is wrong with a row */
  materialize(plan: ViewPlan): Promise<void>
  /** @throws LockstepError `NOT_FOUND` where none of that id is running */
  cancel(id: number, by: Actor): Promise<object>
  close(): Promise<void>
}

export interface BackfillRequest {
  /** Only entities with an event in [from, to), epoch microseconds; null: all. */
  readonly events: { readonly from: number; readonly to: number } | null
  readonly chunks: number | undefined
  readonly by: Actor
}

/** What the server gives to it. */
export interface BackfillDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly store: () => OnlineStore
}
