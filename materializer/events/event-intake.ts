import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Span } from '../../runtime/tracing/span.ts'
import { traced } from '../../runtime/tracing/span.ts'
import type { PushTarget } from './append-events.ts'
import { createClockCheck } from '../clock-behind.ts'
import type { EventLanesLimits, WrittenEvents } from './event-lanes.ts'
import { createEventLanes } from './event-lanes.ts'
import type { SourceEvent } from './event-reader.ts'
import { createEventReader } from './event-reader.ts'
import type { EventTable } from './event-table.ts'
import { readEventTable } from './event-table.ts'
import { createFoldQueue } from './fold-queue.ts'
import { maxFoldedAgain } from './fold-transactions.ts'
import { createPushFolder } from './push-folder.ts'
import type { NotKeptListener } from '../state-writer.ts'

export interface EventIntakeDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` */
  readonly store: () => OnlineStore
  /** The online views that read the source of this name. @throws LockstepError `NOT_READY` */
  readonly views: (source: string) => readonly ViewPlan[]
  readonly metrics: IntakeMetrics
  /** Called when the folding of a source begins to fail. */
  readonly onFoldFailure: (source: string, error: unknown) => void
  readonly onTooLarge: NotKeptListener
  readonly log?: Logger
}

export interface IntakeMetrics {
  /** Called when the number of waiting events of a source changes. */
  waiting(source: string, events: number): void
  /** Called for each transaction that was folded into the online states. */
  folded(source: string, seconds: number): void
}

/** Default: 10,000 events and 32 MiB may wait for each source. */
export interface EventIntakeOptions extends Partial<EventLanesLimits> {
  /** How far in the future an event's time may be when it is received, microseconds. */
  readonly futureMicros: number
  /** How long a push waits until its events are online, milliseconds. Default: 250. */
  readonly foldWaitMs?: number
}

export interface PushedEvents {
  /** How many events are new. */
  readonly accepted: number
  /** How many events were stored already, by their ids. */
  readonly duplicates: number
  /** The transactions that wrote the events, also those that were stored already. */
  readonly xids: readonly number[]
  /** Whether all events are in the online states; null where that was not requested. */
  readonly online: boolean | null
}

/**
 * Takes pushed events for a process. Events of requests that arrive while a transaction runs are written together by
 * the next one.
 */
export interface EventIntake {
  /**
   * Writes the events of one request, all or none; when this resolves they are committed.
   *
   * @param options.receivedAt epoch microseconds
   * @param options.span of the request, where it is recorded
   * @throws LockstepError `INVALID_EVENT`, `NOT_PUSHABLE`, `OVERLOADED` where too many wait, `POSTGRES_UNAVAILABLE`;
   *   `NOT_READY` where the clock of this process is wrong
   */
  push(
    source: SourceSpec,
    events: readonly unknown[],
    options: { readonly to: PushTarget; readonly receivedAt: number; readonly span?: Span | undefined },
  ): Promise<PushedEvents>
  /** Waits until all accepted events are written, and up to `foldMs` until they are folded. */
  close(foldMs: number): Promise<void>
}

export function createEventIntake(deps: EventIntakeDeps, options: EventIntakeOptions): EventIntake {
  const { database, metrics } = deps
  const { futureMicros, waitingEvents = 10_000, waitingBytes = 32 * 1024 * 1024 } = options
  const folder = createPushFolder(deps)
  const folds = createFoldQueue({
    async fold(source, xids) {
      const left = await folder.fold(deps.views(source), xids)
      return left.length === 0
    },
    ...(options.foldWaitMs === undefined ? {} : { waitMs: options.foldWaitMs }),
    onFold: metrics.folded,
    onFailure: deps.onFoldFailure,
  })
  const opened = new WeakMap<SourceSpec, Promise<OpenedSource>>()
  const lanes = createEventLanes(
    { database, folds, onWaiting: metrics.waiting, onNotPushable: (source) => opened.delete(source) },
    { waitingEvents, waitingBytes },
  )

  function open(source: SourceSpec): Promise<OpenedSource> {
    let found = opened.get(source)
    if (found === undefined) {
      found = readEventTable(database(), source).then((table) => ({ table, read: createEventReader(table, { futureMicros }) }))
      opened.set(source, found)
      found.catch(() => opened.delete(source))
    }
    return found
  }

  /** Folds the transactions of events that were stored already: their writer may have died before it folded them. */
  function again(source: SourceSpec, xids: readonly number[]): Promise<boolean>[] {
    return xids.length > maxFoldedAgain ? [Promise.resolve(false)] : xids.map((xid) => folds.add(source.name, xid))
  }

  return {
    async push(source, sent, { to, receivedAt, span }) {
      const { table, read } = await open(source)
      const ownNow = Date.now() * 1000
      const readAll = (at: number) => sent.map((event, index) => read(event, index, at))
      let events: readonly SourceEvent[]
      try {
        events = readAll(receivedAt)
      } catch (error) {
        await createClockCheck(database(), ownNow)(error, (byMicros) => readAll(receivedAt + byMicros))
        throw error
      }
      const commit = (own: Span | undefined): Promise<WrittenEvents> => {
        own?.set({ 'db.system.name': 'postgresql', 'lockstep.source': source.name, 'lockstep.events': events.length })
        return lanes.write(source, table, to, events)
      }
      const committing = traced(span, 'commit events', commit, 'client')
      const { xid, duplicates, folded } = await committing
      const known = duplicates.filter((duplicate) => duplicate !== null)
      const before = [...new Set(known)].filter((other) => other !== xid)
      const folding = () => all([folded ?? Promise.resolve(true), ...again(source, before)])
      return {
        accepted: events.length - known.length,
        duplicates: known.length,
        xids: [...(xid === null ? [] : [xid]), ...before].sort((a, b) => a - b),
        online: to === 'offline' ? null : await traced(span, 'fold events', folding),
      }
    },
    async close(foldMs) {
      await lanes.drained()
      await folds.close(foldMs)
      await folder.close()
    },
  }
}

async function all(folds: readonly Promise<boolean>[]): Promise<boolean> {
  return (await Promise.all(folds)).every(Boolean)
}

interface OpenedSource {
  readonly table: EventTable
  readonly read: ReturnType<typeof createEventReader>
}
