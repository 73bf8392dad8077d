import { LockstepError } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { AppendedEvents, PushTarget } from './append-events.ts'
import { appendEvents } from './append-events.ts'
import type { SourceEvent } from './event-reader.ts'
import type { EventTable } from './event-table.ts'
import type { FoldQueue } from './fold-queue.ts'
import { refusedEvent } from './refused-event.ts'

/** The maximum size of a transaction, unless a single request is larger. */
const groupEvents = 1_000
const groupBytes = 4 * 1024 * 1024

export interface EventLanesDeps {
  readonly database: () => Database
  /** Takes the transactions whose events belong online. */
  readonly folds: Pick<FoldQueue, 'add' | 'room'>
  /** Called when the number of waiting events of a source changes. */
  readonly onWaiting: (source: string, events: number) => void
  /** Called when the table of a source has changed, so that it must be described again. */
  readonly onNotPushable: (source: SourceSpec) => void
}

/** How much may wait for each source, in addition to the running transaction. */
export interface EventLanesLimits {
  readonly waitingEvents: number
  readonly waitingBytes: number
}

/** For one request: the transaction of its new events, and whether that is folded. */
export interface WrittenEvents extends AppendedEvents {
  readonly folded: Promise<boolean> | null
}

/**
 * Writes the events of requests, one transaction after the other for each table and target. The next transaction takes
 * the events of all requests that have arrived while one runs.
 */
export interface EventLanes {
  /**
   * Writes the events of one request, all or none; when this resolves they are committed.
   *
   * @throws LockstepError `OVERLOADED` where too many wait, and as `appendEvents`
   */
  write(source: SourceSpec, table: EventTable, to: PushTarget, events: readonly SourceEvent[]): Promise<WrittenEvents>
  /** Resolves when all accepted events are written. */
  drained(): Promise<void>
}

interface Request {
  readonly events: readonly SourceEvent[]
  readonly bytes: number
  readonly done: (written: WrittenEvents) => void
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

export function createEventLanes(
  { database, folds, onWaiting, onNotPushable }: EventLanesDeps,
  { waitingEvents, waitingBytes }: EventLanesLimits,
): EventLanes {
  /** Lanes with waiting or running requests. */
  const lanes = new Set<Lane>()

  function count(lane: Lane, events: number, bytes: number): void {
    lane.events += events
    lane.bytes += bytes
    const { name } = lane.source
    let ofSource = 0
    for (const each of lanes) if (each.source.name === name) ofSource += each.events
    onWaiting(name, ofSource)
  }

  async function drain(lane: Lane): Promise<void> {
    while (lane.waiting.length > 0) {
      // events that arrive during a fold are written together after it
      if (lane.to !== 'offline') await folds.room(lane.source.name)
      await writeGroup(lane, nextGroup(lane))
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

  async function writeGroup(lane: Lane, group: readonly Request[]): Promise<void> {
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
        for (const request of group) await writeGroup(lane, [request])
        return
      }
      if (error instanceof LockstepError && error.code === 'NOT_PUSHABLE') onNotPushable(lane.source)
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

  return {
    write(source, table, to, events) {
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
      const written = new Promise<WrittenEvents>((done, failed) => lane.waiting.push({ events, bytes, done, failed }))
      lanes.add(lane)
      count(lane, events.length, bytes)
      lane.running ??= drain(lane)
      return written
    },
    async drained() {
      for (const { running } of lanes) await running
    },
  }
}
