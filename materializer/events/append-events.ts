import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { randomBackoffMs, sleep } from '../../runtime/async.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import type { SourceEvent } from './event-reader.ts'
import type { EventTable } from './event-table.ts'
import { maxAheadMicros } from './event-table.ts'
import { notPushable } from '../../registry/push-table.ts'

/**
 * - `both`: the events are history, and are folded into the online states at once
 * - `online`: they are of the online store alone: offline reads leave them out
 * - `offline`: they are history, which the next run of a view folds
 */
export type PushTarget = (typeof pushTargets)[number]
const pushTargets = ['both', 'online', 'offline'] as const

export interface AppendedEvents {
  /** The transaction that wrote the new rows; null where all were there. */
  readonly xid: number | null
  /**
   * By index of the events: null for one that is new, else the transaction that wrote it. One that is twice among the
   * events is new once.
   */
  readonly duplicates: readonly (number | null)[]
}

export interface AppendOptions {
  readonly to: PushTarget
  /** Epoch microseconds. Default: the clock of this process. */
  readonly now?: () => number
}

const maxTries = 5
const deadlockBackoff = { firstMs: 10, maxMs: 80 }

/**
 * Writes events to the source's table in one transaction, which is committed when this resolves: all of them or none.
 * An event whose id is there is not written again, whatever it says.
 *
 * @throws LockstepError `INVALID_ROW` where the table refuses a row; `NOT_PUSHABLE` where it is no longer as it was
 *   read; `NOT_READY` where the clock of this process is far ahead; `POSTGRES_UNAVAILABLE`, after which the events may
 *   be there or not
 */
export async function appendEvents(
  db: Database,
  table: EventTable,
  events: readonly SourceEvent[],
  options: AppendOptions,
): Promise<AppendedEvents> {
  if (events.length === 0) return { xid: null, duplicates: [] }
  const added = await insert(db, table, insertParameters(table, events, options))
  if (added.ahead > maxAheadMicros) throw clockAhead(added.ahead)
  faultPoint('push: committed')
  const xid = added.xid === null ? null : Number(added.xid)
  if (added.rows === events.length) return { xid, duplicates: events.map(() => null) }
  const fresh = new Set(added.ids ?? [])
  const known = await knownEvents(db, table, events)
  const duplicates = events.map(({ id }) => {
    // the first of those of one id is the one that was written
    if (id === null || fresh.delete(id)) return null
    // 0, below all: it has been erased since
    return known.get(id) ?? xid ?? 0
  })
  return { xid, duplicates }
}

/** The parameters of `EventTable.insert`. */
export function insertParameters(
  table: EventTable,
  events: readonly SourceEvent[],
  { to, now = () => Date.now() * 1000 }: AppendOptions,
): unknown[] {
  const columns = table.columns.map((_, at) => events.map(({ texts }) => texts[at] ?? null))
  return [...columns, events.map(({ id }) => id), to === 'online', now()]
}

interface Added {
  readonly rows: number
  readonly xid: string | null
  readonly ids: readonly string[] | null
  /** How far the clock of this process is ahead of the database's, microseconds. */
  readonly ahead: number
}

/**
 * Several processes that write the same ids in another order wait for each other; PostgreSQL ends one of them, which
 * then starts again.
 */
async function insert(db: Database, table: EventTable, parameters: readonly unknown[]): Promise<Added> {
  for (let tries = 1; ; tries++) {
    try {
      const [added] = await db.query<Added>(table.insert, parameters, { prepared: true })
      if (added === undefined) throw new LockstepError('INTERNAL', 'An insert of events returned no rows.')
      return added
    } catch (error) {
      const state = sqlState(error)
      if ((state === '40P01' || state === '40001') && tries < maxTries) {
        await sleep(randomBackoffMs(tries, deadlockBackoff))
        continue
      }
      throw refusedByTable(error, state, table)
    }
  }
}

/**
 * The process that receives an event sets its known time by its own clock, and it stays. Until a known time in the
 * future has passed, every server would answer for the entity as of that time.
 */
function clockAhead(micros: number): LockstepError {
  const seconds = Math.round(micros / 1e6)
  return new LockstepError(
    'NOT_READY',
    `The clock of this process is ${seconds} s ahead of the database's, so the events would count too late. Nothing was written. Synchronize both clocks by NTP.`,
    { details: { secondsAhead: seconds } },
  )
}

/** The transactions of events that were there. */
async function knownEvents(db: Database, { known }: EventTable, events: readonly SourceEvent[]): Promise<Map<string, number>> {
  const ids = events.flatMap(({ id }) => (id === null ? [] : [id]))
  const rows = await db.query<{ id: string; xid: string }>(known, [ids])
  return new Map(rows.map(({ id, xid }) => [id, Number(xid)]))
}

/** Whether a value or a constraint of the table is the reason. */
export function isRefusedByTable(error: unknown): boolean {
  return /^(22|23|P0)/.test(sqlState(error))
}

/** The error if the table's own constraints refuse an event, which only the database checks. */
function refusedByTable(cause: unknown, state: string, { source }: EventTable): unknown {
  if (isRefusedByTable(cause)) {
    return new LockstepError(
      'INVALID_ROW',
      `The table of the source "${source.name}" refuses an event: ${messageOf(cause)}. Nothing was written.`,
      {
        cause,
        details: { source: source.name },
      },
    )
  }
  if (state === '42501') {
    return notPushable(
      source,
      `The role of this process may not write to its table: ${messageOf(cause)}. Grant it INSERT and SELECT on the table.`,
      cause,
    )
  }
  if (/^42(P01|703|804|P10)$/.test(state)) {
    return notPushable(source, `Its table has changed: ${messageOf(cause)}. Apply the definitions again.`, cause)
  }
  return cause
}
