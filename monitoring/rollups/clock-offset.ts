import type { Database } from '../../runtime/postgres/database.ts'

/** How far a clock is ahead of that of the database, microseconds. */
export interface ClockOffset {
  readonly offset: number
  /** The true one is at most so far from it. */
  readonly error: number
}

/**
 * The database's answer lies between two readings of the own clock, so half of the round trip is the error. The fastest
 * of a few tries counts.
 *
 * @param clock epoch microseconds
 * @returns null: the clock went backwards meanwhile
 */
export async function readClockOffset(db: Pick<Database, 'query'>, clock: () => number, tries: number): Promise<ClockOffset | null> {
  let best: ClockOffset | null = null
  for (let i = 0; i < tries; i++) {
    const before = clock()
    const [row] = await db.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::float8 AS now')
    const after = clock()
    if (row === undefined || after < before) continue
    const found = { offset: (before + after) / 2 - row.now, error: (after - before) / 2 }
    if (best === null || found.error < best.error) best = found
  }
  return best
}

/** From this offset on servers, workers and `lockstep doctor` warn. */
export const maxSecondsOff = 5

/** The part of the offset that is certain. */
export function secondsOff({ offset, error }: ClockOffset): number {
  return Math.max(0, Math.abs(offset) - error) / 1e6
}

/** The offset in words, and what to do about it. */
export function offsetText(whose: string, { offset }: ClockOffset): string {
  const way = offset > 0 ? 'ahead of' : 'behind'
  return `The clock of ${whose} is ${Math.abs(offset / 1e6).toFixed(1)} s ${way} that of the database. Check its time synchronization (NTP).`
}

/** Compares the clock of a server with the database's, and stores the difference. */
export async function compareServerClock(db: Pick<Database, 'query'>, process: string, clock: () => number): Promise<void> {
  const offset = await readClockOffset(db, clock, 1)
  if (offset !== null) await writeServerClock(db, process, offset)
}

/**
 * Stores how far the clock of a server is from the database's. Those of servers that are gone are deleted after a day.
 */
export async function writeServerClock(db: Pick<Database, 'query'>, process: string, { offset, error }: ClockOffset): Promise<void> {
  await db.query(
    `WITH gone AS (DELETE FROM lockstep.server_clocks WHERE read_at < clock_timestamp() - interval '1 day' AND process <> $1)
     INSERT INTO lockstep.server_clocks (process, offset_micros, error_micros) VALUES ($1, $2, $3)
     ON CONFLICT (process) DO UPDATE
     SET read_at = excluded.read_at, offset_micros = excluded.offset_micros, error_micros = excluded.error_micros`,
    [process, offset, error],
  )
}

/** The servers that compared their clocks in the last five minutes. */
export async function readServerClocks(db: Pick<Database, 'query'>): Promise<(ClockOffset & { readonly process: string })[]> {
  return await db.query(
    `SELECT process, offset_micros AS "offset", error_micros AS error FROM lockstep.server_clocks
     WHERE read_at > clock_timestamp() - interval '5 minutes' ORDER BY process`,
  )
}
