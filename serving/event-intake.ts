import type { LockstepError } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId, SourceSpec } from '../kernel/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import type { PushMetrics } from './push-metrics.ts'

/** Takes pushed events in: the materializer's, which the server is given. */
export interface EventIntake {
  /**
   * Writes events to the table of their source, all or none; when this resolves they are committed.
   *
   * @param options.receivedAt epoch microseconds
   * @throws LockstepError `INVALID_EVENT`, `NOT_PUSHABLE`, `OVERLOADED`, `INVALID_ROW`, `POSTGRES_UNAVAILABLE`
   */
  push(
    source: SourceSpec,
    events: readonly unknown[],
    options: { readonly to: 'both' | 'online' | 'offline'; readonly receivedAt: number },
  ): Promise<{
    readonly accepted: number
    readonly duplicates: number
    /** The transactions that wrote them. */
    readonly xids: readonly number[]
    /** Whether the online states have them; null where that was not asked for. */
    readonly online: boolean | null
  }>
  /** Finishes what was taken in, within the limit. */
  close(limitMs: number): Promise<void>
}

/** What the server gives to the intake. */
export interface EventIntakeDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly store: () => OnlineStore
  /** The online views that read a source. @throws LockstepError `NOT_READY` */
  readonly views: (source: string) => readonly ViewPlan[]
  readonly metrics: PushMetrics
  readonly onFoldFailure: (source: string, error: unknown) => void
  /** Told of entities of a view that an event has brought over its cap: how many, and the errors of the first of them. */
  readonly onTooLarge: (view: DefinitionId, tooLarge: { readonly entities: number; readonly errors: readonly LockstepError[] }) => void
}
