import { sql } from 'kysely'
import { formatTimestamp } from '../kernel/time.ts'
import type { BackfillState } from '../migrations/schema.ts'
import type { KeyRange } from '../offline/stream-sql.ts'
import type { Actor } from '../runtime/audit.ts'
import { recordAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/database.ts'

type Handle = Pick<Database, 'kysely'>

/** By the database's clock, which is the same for all. */
const now = sql<Date>`clock_timestamp()`

/** A backfill and how far it is. */
export interface Backfill {
  readonly id: number
  /** `airport_delays@1` */
  readonly view: string
  readonly fingerprint: string
  readonly store: string
  /** Epoch microseconds: of the entities with an event in [from, to) alone; null: of all. */
  readonly events: { readonly from: number; readonly to: number } | null
  /** What its chunks count as now, epoch microseconds. */
  readonly moment: number
  readonly run: { readonly id: string; readonly startedAt: Date }
  readonly origin: { readonly id: string; readonly startedAt: Date }
  readonly state: BackfillState
  readonly error: { readonly code: string; readonly message: string } | null
  readonly startedBy: string
  readonly startedAt: Date
  readonly finishedAt: Date | null
  readonly chunks: number
  readonly chunksDone: number
  /** Rows that were folded and entities that were written so far. */
  readonly rows: number
  readonly entities: number
  /** The least transaction that the chunks come up to; null while none is done. */
  readonly below: number | null
  /** As fast as so far, in seconds; null where nothing tells it. */
  readonly secondsLeft: number | null
}

const maxListed = 100

/** Newest first, the running ones before the others. @param nowMs epoch milliseconds */
export async function readBackfills(
  db: Handle,
  nowMs: number,
  only: { readonly id?: number; readonly state?: BackfillState; readonly view?: string; readonly store?: string } = {},
): Promise<Backfill[]> {
  const found = await db.kysely
    .selectFrom('lockstep.backfills as b')
    .innerJoin('lockstep.backfill_chunks as c', 'c.backfill', 'b.id')
    .innerJoin('lockstep.materialization_runs as r', 'r.id', 'b.run')
    .selectAll('b')
    .select(['r.started_at as run_started_at'])
    .select(({ fn }) => [
      fn.count<string>('c.finished_at').as('done'),
      fn.sum<string | null>('c.rows').as('rows'),
      fn.sum<string | null>('c.entities').as('entities'),
      fn.min<string | null>('c.below').as('below'),
    ])
    .$if(only.id !== undefined, (query) => query.where('b.id', '=', String(only.id)))
    .$if(only.state !== undefined, (query) => query.where('b.state', '=', only.state ?? 'running'))
    .$if(only.view !== undefined, (query) => query.where('b.view', '=', only.view ?? ''))
    .$if(only.store !== undefined, (query) => query.where('b.store', '=', only.store ?? ''))
    .groupBy(['b.id', 'r.started_at'])
    .orderBy(({ eb }) => eb('b.state', '=', 'running'), 'desc')
    .orderBy('b.id', 'desc')
    .limit(maxListed)
    .execute()
  return found.map((row) => {
    const done = Number(row.done)
    const elapsed = (nowMs - row.started_at.getTime()) / 1000
    return {
      id: Number(row.id),
      view: row.view,
      fingerprint: row.fingerprint,
      store: row.store,
      events: row.from_time === null || row.to_time === null ? null : { from: Number(row.from_time), to: Number(row.to_time) },
      moment: Number(row.moment),
      run: { id: row.run, startedAt: row.run_started_at },
      origin: { id: row.origin, startedAt: row.origin_started_at },
      state: row.state,
      error: row.error as Backfill['error'], // written by endBackfill and failBackfills alone
      startedBy: row.started_by,
      startedAt: row.started_at,
      finishedAt: row.finished_at,
      chunks: row.chunks,
      chunksDone: done,
      rows: Number(row.rows ?? 0),
      entities: Number(row.entities ?? 0),
      below: row.below === null ? null : Number(row.below),
      secondsLeft: row.state !== 'running' || done === 0 ? null : Math.max(0, (elapsed / done) * (row.chunks - done)),
    }
  })
}

/**
 * How many backfills of that view, store and definition have failed since one was done, and how long ago the last of
 * them did, by the database's clock.
 */
export async function failedBackfills(
  db: Handle,
  { view, store, fingerprint }: Pick<Backfill, 'view' | 'store' | 'fingerprint'>,
): Promise<{ readonly times: number; readonly secondsAgo: number }> {
  const found = await sql<{ times: string; seconds: number | null }>`
    SELECT count(*) AS times, extract(epoch FROM clock_timestamp() - max(finished_at))::float8 AS seconds FROM lockstep.backfills
    WHERE view = ${view} AND store = ${store} AND fingerprint = ${fingerprint} AND state = 'failed' AND id > (
      SELECT coalesce(max(id), 0) FROM lockstep.backfills
      WHERE view = ${view} AND store = ${store} AND fingerprint = ${fingerprint} AND state = 'done')`.execute(db.kysely)
  const [row] = found.rows
  return { times: Number(row?.times ?? 0), secondsAgo: row?.seconds ?? Number.POSITIVE_INFINITY }
}

export async function readBackfill(db: Handle, id: number, nowMs: number): Promise<Backfill | null> {
  return (await readBackfills(db, nowMs, { id }))[0] ?? null
}

/** The running backfill of that view, store and range. */
export async function runningBackfill(
  db: Handle,
  { view, store, events }: Pick<Backfill, 'view' | 'store' | 'events'>,
): Promise<number | null> {
  const found = await db.kysely
    .selectFrom('lockstep.backfills')
    .select('id')
    .where('view', '=', view)
    .where('store', '=', store)
    .where('state', '=', 'running')
    .where('from_time', 'is not distinct from', events === null ? null : String(events.from))
    .where('to_time', 'is not distinct from', events === null ? null : String(events.to))
    .executeTakeFirst()
  return found === undefined ? null : Number(found.id)
}

/** Whether it still runs, and in which store; null: there is none of that id. */
export async function backfillState(db: Handle, id: number): Promise<Pick<Backfill, 'state' | 'store'> | null> {
  const found = await db.kysely.selectFrom('lockstep.backfills').select(['state', 'store']).where('id', '=', String(id)).executeTakeFirst()
  return found ?? null
}

/** @returns its id; null where one of the same view, store and range is running, or its run was forgotten meanwhile */
export async function insertBackfill(
  db: Handle,
  backfill: Pick<Backfill, 'view' | 'fingerprint' | 'store' | 'events' | 'moment' | 'run' | 'origin' | 'startedBy'>,
  ranges: readonly KeyRange[],
  by?: Actor,
): Promise<number | null> {
  const { view, fingerprint, store, events, moment, run, origin, startedBy } = backfill
  return await db.kysely.transaction().execute(async (transaction) => {
    const known = await transaction
      .selectFrom('lockstep.materialization_runs')
      .select('id')
      .where('id', '=', run.id)
      .forShare()
      .executeTakeFirst()
    if (known === undefined) return null
    const inserted = await transaction
      .insertInto('lockstep.backfills')
      .values({
        view,
        fingerprint,
        store,
        from_time: events === null ? null : String(events.from),
        to_time: events === null ? null : String(events.to),
        moment: String(moment),
        run: run.id,
        origin: origin.id,
        origin_started_at: origin.startedAt,
        chunks: ranges.length,
        state: 'running',
        error: null,
        started_by: startedBy,
        finished_at: null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst()
    if (inserted === undefined) return null
    if (by !== undefined) {
      await recordAudit({ kysely: transaction }, by, {
        action: 'backfill.start',
        subject: view,
        after: { backfill: Number(inserted.id), events: timesOf(events), chunks: ranges.length },
      })
    }
    const none = { below: null, rows: null, entities: null, worker: null, finished_at: null }
    const chunks = ranges.map(({ from, to }, chunk) => {
      return { backfill: inserted.id, chunk, from_key: JSON.stringify(from), to_key: JSON.stringify(to), ...none }
    })
    for (let at = 0; at < chunks.length; at += 500)
      await transaction
        .insertInto('lockstep.backfill_chunks')
        .values(chunks.slice(at, at + 500))
        .execute()
    return Number(inserted.id)
  })
}

/** The chunks that are not done. */
export async function openChunks(db: Handle, id: number): Promise<number[]> {
  const found = await db.kysely
    .selectFrom('lockstep.backfill_chunks')
    .select('chunk')
    .where('backfill', '=', String(id))
    .where('finished_at', 'is', null)
    .orderBy('chunk')
    .execute()
  return found.map(({ chunk }) => chunk)
}

/** The range of a chunk; null where it is done already, or there is none, or its backfill no longer runs. */
export async function openChunk(db: Handle, id: number, chunk: number): Promise<KeyRange | null> {
  const found = await db.kysely
    .selectFrom('lockstep.backfill_chunks as c')
    .innerJoin('lockstep.backfills as b', 'b.id', 'c.backfill')
    .select(['c.from_key', 'c.to_key'])
    .where('c.backfill', '=', String(id))
    .where('c.chunk', '=', chunk)
    .where('c.finished_at', 'is', null)
    .where('b.state', '=', 'running')
    .executeTakeFirst()
  // written by insertBackfill alone
  return found === undefined ? null : { from: found.from_key as KeyRange['from'], to: found.to_key as KeyRange['to'] }
}

export async function finishChunk(
  db: Handle,
  id: number,
  chunk: number,
  { below, rows, entities, worker }: { below: number; rows: number; entities: number; worker: string },
): Promise<void> {
  await db.kysely
    .updateTable('lockstep.backfill_chunks')
    .set({ below: String(below), rows: String(rows), entities: String(entities), worker, finished_at: now })
    .where('backfill', '=', String(id))
    .where('chunk', '=', chunk)
    .where('finished_at', 'is', null)
    .execute()
}

/** Its chunks' bounds, which are keys of entities, go with it. @returns whether it was this call that ended it */
export async function endBackfill(
  db: Handle,
  id: number,
  state: Exclude<BackfillState, 'running'>,
  error?: { readonly code: string; readonly message: string },
  by?: Actor,
): Promise<boolean> {
  return await db.kysely.transaction().execute(async (transaction) => {
    const ended = await transaction
      .updateTable('lockstep.backfills')
      .set({
        state,
        error: error === undefined ? null : JSON.stringify({ code: error.code, message: error.message }),
        finished_at: now,
      })
      .where('id', '=', String(id))
      .where('state', '=', 'running')
      .returning('view')
      .executeTakeFirst()
    if (ended === undefined) return false
    if (by !== undefined) {
      await recordAudit({ kysely: transaction }, by, { action: 'backfill.cancel', subject: ended.view, after: { backfill: id } })
    }
    await transaction
      .updateTable('lockstep.backfill_chunks')
      .set({ from_key: 'null', to_key: 'null' })
      .where('backfill', '=', String(id))
      .execute()
    return true
  })
}

/** Fails all that are running in a store: it may have lost what their chunks wrote. */
export async function failBackfills(db: Handle, store: string, error: { readonly code: string; readonly message: string }): Promise<void> {
  const running = await db.kysely
    .selectFrom('lockstep.backfills')
    .select('id')
    .where('store', '=', store)
    .where('state', '=', 'running')
    .execute()
  for (const { id } of running) await endBackfill(db, Number(id), 'failed', error)
}

function timesOf(events: Backfill['events']): object | null {
  return events === null ? null : { from: formatTimestamp(events.from), to: formatTimestamp(events.to) }
}
