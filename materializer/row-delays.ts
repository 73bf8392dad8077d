import { messageOf } from '../kernel/errors.ts'
import { memoizeWeak } from '../kernel/memoize-weak.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { SourceRow } from '../offline/rows/row-decoder.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Logger } from '../runtime/log.ts'

/**
 * The stages between an event and its online state: until it was known, until its row was in the table, and until the
 * state included it. If the table does not record arrivals, the last two are one stage.
 */
export type RowStage = 'known' | 'ingested' | 'materialized' | 'known to materialized'
const stages: readonly RowStage[] = ['known', 'ingested', 'materialized', 'known to materialized']

/** How long summaries are kept. */
const keptDays = 90
/** The maximum rows of a run or a push that are measured. */
const maxRows = 10_000
/** Pushes write what they have found this often. */
const writeEveryMs = 10_000
/** The maximum counts that are kept while they cannot be written. */
const maxCounts = 100_000
/** Buckets grow by a tenth, from a millisecond on; those of shorter delays are bucket 0. */
const growth = Math.log(1.1)
const minSeconds = 0.001
const hourMs = 3_600_000

function bucketOf(seconds: number): number {
  return seconds <= minSeconds ? 0 : 1 + Math.floor(Math.log(seconds / minSeconds) / growth)
}

/** The middle of a bucket, so within 5 %. */
function secondsOf(bucket: number): number {
  return bucket === 0 ? 0 : minSeconds * Math.exp((bucket - 0.5) * growth)
}

/** Rows of one view that one run, or one push, folds. */
export interface RowDelays {
  /** Takes a row that is added to a state. */
  note(row: SourceRow): void
  /** The transactions of the rows that were noted. */
  xids(): number[]
  /**
   * Counts the rows that were noted.
   *
   * @param ingestedAt when the rows of a transaction came into their table, epoch microseconds; null: not recorded
   */
  count(ingestedAt: (xid: number) => number | null): void
}

interface Kept {
  /** By hour, view, stage and bucket. */
  counts: Map<string, number>
  writtenMs: number
}

/** Counts from runs and pushes of this process that are not written yet. */
const keptOf = memoizeWeak((_db: Database): Kept => ({ counts: new Map(), writtenMs: Number.NEGATIVE_INFINITY }))

/** Adds to a count. While nothing can be written, the counts stay bounded: new ones are dropped. */
function add({ counts }: Kept, key: string, rows: number): void {
  const before = counts.get(key)
  if (before !== undefined || counts.size < maxCounts) counts.set(key, (before ?? 0) + rows)
}

/** @param now when rows count as folded, epoch microseconds */
export function createRowDelays(db: Database, view: DefinitionId, now: () => number): RowDelays {
  let noted: { readonly event: number; readonly known: number | null; readonly folded: number; readonly xid: number }[] = []
  return {
    note({ eventTime, knownTime, xid }) {
      if (noted.length >= maxRows || !Number.isFinite(Math.max(eventTime, knownTime ?? eventTime))) return
      noted.push({ event: eventTime, known: knownTime, folded: now(), xid })
    },
    xids: () => [...new Set(noted.map(({ xid }) => xid))],
    count(ingestedAt) {
      const kept = keptOf(db)
      for (const { event, known: knownTime, folded, xid } of noted) {
        const known = Math.max(event, knownTime ?? event)
        const hour = Math.floor(folded / 1000 / hourMs)
        const addTo = (stage: RowStage, micros: number): void =>
          add(kept, `${hour} ${stages.indexOf(stage)} ${bucketOf(micros / 1e6)} ${view}`, 1)
        if (knownTime !== null) addTo('known', known - event)
        addTo('known to materialized', folded - known)
        const ingested = ingestedAt(xid)
        if (ingested === null) continue
        addTo('ingested', ingested - known)
        addTo('materialized', folded - Math.max(known, ingested))
      }
      noted = []
    },
  }
}

/** Counts and writes the rows of a run. A failure is logged and never thrown, as in `writeRowDelays`. */
export async function recordRunDelays(db: Database, delays: RowDelays | null, source: string, log: Logger | undefined): Promise<void> {
  const xids = delays?.xids() ?? []
  if (delays !== null && xids.length > 0) {
    const times = await readLoadTimes(db, source, xids).catch((error: unknown) => {
      log?.warn({ source, error: messageOf(error) }, 'when rows came into their table cannot be read')
      return new Map<number, number>()
    })
    delays.count((xid) => times.get(xid) ?? null)
  }
  await writeRowDelays(db, true, log)
}

/**
 * Adds what was found to the stored summaries. A failure is logged and never thrown, so that statistics do not fail a
 * run or a push. Counts that could not be written are kept for the next call.
 *
 * @param isDue false: only if it was not done for a while, as pushes come often
 */
export async function writeRowDelays(db: Database, isDue: boolean, log: Logger | undefined): Promise<void> {
  const kept = keptOf(db)
  const nowMs = performance.now()
  if (kept.counts.size === 0 || (!isDue && nowMs - kept.writtenMs < writeEveryMs)) return
  kept.writtenMs = nowMs
  const taken = kept.counts
  kept.counts = new Map()
  try {
    await insertCounts(db, taken)
  } catch (error) {
    for (const [key, rows] of taken) add(kept, key, rows)
    log?.warn({ error: messageOf(error) }, 'the delays of rows cannot be written; they are kept and written later')
    return
  }
  try {
    const newest = Math.max(...Array.from(taken.keys(), (key) => Number.parseInt(key)))
    await db.query('delete from lockstep.row_delays where hour < $1', [new Date((newest - keptDays * 24) * hourMs)])
  } catch (error) {
    log?.warn({ error: messageOf(error) }, 'old delays of rows cannot be removed')
  }
}

async function insertCounts(db: Database, counts: ReadonlyMap<string, number>): Promise<void> {
  const found = Array.from(counts, ([key, rows]) => {
    const [, hour, stage, bucket, view] = /^(-?\d+) (\d+) (\d+) (.*)$/.exec(key) ?? []
    return { hour: new Date(Number(hour) * hourMs), stage: stages[Number(stage)], bucket: Number(bucket), view, rows }
  })
  const column = <T>(of: (each: (typeof found)[number]) => T): T[] => found.map(of)
  await db.query(
    `insert into lockstep.row_delays as r (hour, view, stage, bucket, rows)
     select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::int[], $5::bigint[]) order by 1, 2, 3, 4
     on conflict (hour, view, stage, bucket) do update set rows = r.rows + excluded.rows`,
    [
      column(({ hour }) => hour),
      column(({ view }) => view),
      column(({ stage }) => stage),
      column(({ bucket }) => bucket),
      column(({ rows }) => rows),
    ],
  )
}

/** When the transactions that loaded files into a source's table were recorded. */
async function readLoadTimes(db: Pick<Database, 'query'>, source: string, xids: readonly number[]): Promise<Map<number, number>> {
  const rows = await db.query<{ xid: string; at: number }>(
    `select xid::text as xid, (extract(epoch from at) * 1000000)::float8 as at from (
       select xid, at, source from lockstep.ingests union all select xid, synced_at, source from lockstep.source_files
     ) loads where source = $1 and xid = any ($2::text[]::xid8[])`,
    [source, xids.map(String)],
  )
  return new Map(rows.map(({ xid, at }) => [Number(xid), at]))
}

/** How long rows of a view took in one stage. */
export interface StageDelay {
  readonly rows: number
  /** Seconds. */
  readonly p50: number
  readonly p99: number
}

/** By stage, of the rows that were folded in complete hours. @param window epoch microseconds, [from, to) */
export async function readRowDelays(
  db: Pick<Database, 'query'>,
  view: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<ReadonlyMap<RowStage, StageDelay>> {
  const found = await db.query<{ stage: RowStage; bucket: number; rows: number }>(
    `select stage, bucket, sum(rows)::float8 as rows from lockstep.row_delays
     where view = $1 and hour >= $2 and hour < $3 group by stage, bucket order by stage, bucket`,
    [view, new Date(from / 1000), new Date(to / 1000)],
  )
  const byStage = Map.groupBy(found, ({ stage }) => stage)
  return new Map(
    [...byStage].map(([stage, buckets]) => {
      const rows = buckets.reduce((sum, each) => sum + each.rows, 0)
      return [stage, { rows, p50: quantile(buckets, rows / 2), p99: quantile(buckets, rows * 0.99) }]
    }),
  )
}

function quantile(buckets: readonly { readonly bucket: number; readonly rows: number }[], rank: number): number {
  let below = 0
  for (const { bucket, rows } of buckets) {
    below += rows
    if (below >= rank) return secondsOf(bucket)
  }
  return 0
}
