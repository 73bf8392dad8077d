import { LockstepError } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import type { Logger } from '../runtime/log.ts'
import type { Span } from '../runtime/tracing/span.ts'
import { traced } from '../runtime/tracing/span.ts'
import type { AppendedEvents, PushTarget } from './append-events.ts'
import { appendEvents } from './append-events.ts'
import { createClockCheck } from './clock-behind.ts'
import type { SourceEvent } from './event-reader.ts'
import { createEventReader } from './event-reader.ts'
import type { EventTable } from './event-table.ts'
import { readEventTable } from './event-table.ts'
import { refusedEvent } from './refused-event.ts'
import { createFoldQueue } from './fold-queue.ts'
import { maxFoldedAgain } from './fold-transactions.ts'
import { createPushFolder } from './push-folder.ts'
import type { NotKeptListener } from './state-writer.ts'

/** The maximum size of a transaction, unless a single request is larger. */
const groupEvents = 1_000
const groupBytes = 4 * 1024 * 1024

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

export interface EventIntakeOptions {
  /** How far in the future an event's time may be when it is received, microseconds. */
  readonly futureMicros: number
  /** How much may wait for each source, in addition to the running transaction. Default: 10,000 events, 32 MiB. */
  readonly waitingEvents?: number
  readonly waitingBytes?: number
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

interface Request {
  readonly events: readonly SourceEvent[]
  readonly bytes: number
  readonly done: (written: Written) => void
  readonly failed: (error: unknown) => void
}

interface Lane {
  readonly source: SourceSpec
  readonly table: EventTable
  readonly to: PushTarget
  readonly waiting: Request[]
  events: number
  bytes: number
  running: Promise<void> | null
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
  /** Lanes with waiting or running requests. */
  const lanes = new Set<Lane>()

  function open(source: SourceSpec): Promise<OpenedSource> {
    let found = opened.get(source)
    if (found === undefined) {
      found = readEventTable(database(), source).then((table) => ({ table, read: createEventReader(table, { futureMicros }) }))
      opened.set(source, found)
      found.catch(() => opened.delete(source))
    }
    return found
  }

  function enqueue(
    { table, source }: { table: EventTable; source: SourceSpec },
    to: PushTarget,
    events: readonly SourceEvent[],
  ): Promise<Written> {
    const present = [...lanes].find((lane) => lane.table === table && lane.to === to)
    const lane = present ?? { source, table, to, waiting: [], events: 0, bytes: 0, running: null }
    const bytes = events.reduce((sum, event) => sum + event.bytes, 0)
    if (lane.waiting.length > 0 && (lane.events + events.length > waitingEvents || lane.bytes + bytes > waitingBytes)) {
      throw new LockstepError(
        'OVERLOADED',
        `The source "${source.name}" has ${lane.events} events waiting to be written, which is the maximum. Nothing of this request was accepted; send it again soon.`,
        { details: { source: source.name, waiting: lane.events } },
      )
    }
    const written = new Promise<Written>((done, failed) => lane.waiting.push({ events, bytes, done, failed }))
    lanes.add(lane)
    count(lane, events.length, bytes)
    lane.running ??= drain(lane)
    return written
  }

  function count(lane: Lane, events: number, bytes: number): void {
    lane.events += events
    lane.bytes += bytes
    metrics.waiting(lane.source.name, waitingOf(lane.source.name))
  }

  function waitingOf(source: string): number {
    let events = 0
    for (const lane of lanes) if (lane.source.name === source) events += lane.events
    return events
  }

  async function drain(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      // events that arrive during a fold are written together after it
      if (lane.to !== 'offline') await folds.room(lane.source.name)
      const group = nextGroup(lane)
      await write(lane, group)
    }
    lanes.delete(lane)
  }

  function nextGroup(lane: Lane): Request[] {
    const group: Request[] = []
    let [events, bytes] = [0, 0]
    for (let next = lane.waiting[0]; next !== undefined; next = lane.waiting[0]) {
      if (group.length > 0 && (events + next.events.length > groupEvents || bytes + next.bytes > groupBytes)) break
      group.push(next)
      lane.waiting.shift()
      events += next.events.length
      bytes += next.bytes
    }
    count(lane, -events, -bytes)
    return group
  }

  async function write(lane: Lane, group: readonly Request[]): Promise<void> {
    let written: AppendedEvents
    try {
      written = await appendEvents(
        database(),
        lane.table,
        group.flatMap(({ events }) => events),
        lane,
      )
    } catch (error) {
      // a wrong row of one request must not fail the others
      if (error instanceof LockstepError && error.code === 'INVALID_ROW') {
        const [only] = group
        if (group.length === 1 && only !== undefined) return only.failed(await refusedError(lane, only, error))
        for (const request of group) await write(lane, [request])
        return
      }
      if (error instanceof LockstepError && error.code === 'NOT_PUSHABLE') opened.delete(lane.source)
      for (const { failed } of group) failed(error)
      return
    }
    const folded = lane.to !== 'offline' && written.xid !== null ? folds.add(lane.source.name, written.xid) : null
    let at = 0
    for (const { events, done } of group) {
      const duplicates = written.duplicates.slice(at, (at += events.length))
      const fresh = duplicates.includes(null)
      done({ duplicates, xid: fresh ? written.xid : null, folded: fresh ? folded : null })
    }
  }

  async function refusedError({ table, to }: Lane, { events }: Request, error: LockstepError): Promise<unknown> {
    try {
      return await refusedEvent(database(), table, events, { to }, error)
    } catch (cause) {
      return cause
    }
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
      const commit = (own: Span | undefined): Promise<Written> => {
        own?.set({ 'db.system.name': 'postgresql', 'lockstep.source': source.name, 'lockstep.events': events.length })
        return enqueue({ table, source }, to, events)
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
      for (const { running } of lanes) await running
      await folds.close(foldMs)
      await folder.close()
    },
  }
}

/** For one request: the transaction of its new events. */
interface Written extends AppendedEvents {
  readonly folded: Promise<boolean> | null
}

async function all(folds: readonly Promise<boolean>[]): Promise<boolean> {
  return (await Promise.all(folds)).every(Boolean)
}

interface OpenedSource {
  readonly table: EventTable
  readonly read: ReturnType<typeof createEventReader>
}
