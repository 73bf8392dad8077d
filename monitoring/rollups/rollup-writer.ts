import { dayOf, rollupPartitions } from '../day-partitions.ts'
import { createNextPartition } from '../next-partition.ts'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { compareServerClock } from './clock-offset.ts'
import type { ForgottenEntity } from './columns-summary.ts'
import { ColumnsSummary } from './columns-summary.ts'
import type { TrafficSummary } from './traffic-summary.ts'

/** The key of a rollup. */
export interface RollupKey {
  readonly model: string
  /** 0: no version was chosen. */
  readonly version: number
  readonly role: string
}

/** The key of the process itself. */
export const noModel: RollupKey = { model: '', version: 0, role: '' }

/** The summary of one key in one minute by one process. */
export interface MinuteRollup {
  readonly key: RollupKey
  readonly traffic: TrafficSummary
  /** null: no rows. */
  readonly columns: ColumnsSummary | null
}

/** Writes minutes to `lockstep.rollups`. A minute that cannot be written waits, in bounded memory. */
export interface RollupWriter {
  /** Adds a part of a minute; parts of one key are merged. */
  add(minute: number, process: string, rollup: MinuteRollup): void
  /** The minute is complete, to be written. @param ended whether the process ends with it */
  end(minute: number, process: string, ended: boolean): void
  /** Removes an erased entity from the minutes that wait. */
  forget(erased: ForgottenEntity): void
  /** How many minutes wait. */
  readonly waiting: number
  /** Problems that the writes of the next day will have, for the operator. */
  warnings(): readonly string[]
  /** Writes what waits, oldest first. @throws what the database throws; then the rest waits */
  write(): Promise<void>
}

/** Above this size of what waits, the oldest minutes are dropped. */
const maxBytes = 64 * 2 ** 20

interface Minute {
  readonly minute: number
  readonly process: string
  ended: boolean
  readonly rollups: MinuteRollup[]
  /** Once it was tried. */
  encoded: EncodedMinute | null
}

interface EncodedMinute {
  readonly rows: readonly { readonly key: RollupKey; readonly traffic: Buffer; columns: Buffer | null }[]
  readonly bytes: number
}

/** There is no partition for the day. */
const noPartition = '23514'

export function createRollupWriter({
  database,
  log,
  clock,
}: {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  readonly log: Logger
  /** The clock to compare with the database's, epoch microseconds; absent: none is compared. */
  readonly clock?: () => number
}): RollupWriter {
  let open: Minute | null = null
  let waiting: Minute[] = []
  let dropped = 0
  const nextPartition = createNextPartition({ database, log }, rollupPartitions, 'the model statistics')

  function openMinute(minute: number, process: string): Minute {
    if (open?.minute === minute && open.process === process) return open
    return (open = { minute, process, ended: false, rollups: [], encoded: null })
  }

  /** In turns of the event loop, so that no request waits for all of it. */
  async function encode({ rollups }: Minute): Promise<EncodedMinute> {
    const rows: EncodedMinute['rows'][number][] = []
    let bytes = 0
    for (const { key, traffic, columns } of rollups) {
      const row = { key, traffic: traffic.encode(), columns: columns?.encode() ?? null }
      bytes += row.traffic.length + (row.columns?.length ?? 0)
      rows.push(row)
      await nextTurn()
    }
    rollups.length = 0
    return { rows, bytes }
  }

  function dropOldest(): void {
    let bytes = waiting.reduce((sum, { encoded }) => sum + (encoded?.bytes ?? 0), 0)
    while (bytes > maxBytes && waiting.length > 1) {
      bytes -= waiting.shift()?.encoded?.bytes ?? 0
      dropped++
    }
  }

  async function writeMinute(db: Database, minute: Minute, encoded: EncodedMinute): Promise<void> {
    const { rows } = encoded
    const values = [
      minute.minute,
      minute.process,
      minute.ended,
      rows.map(({ key }) => key.model),
      rows.map(({ key }) => key.version),
      rows.map(({ key }) => key.role),
      rows.map(({ traffic }) => traffic.toString('hex')),
      rows.map(({ columns }) => columns?.toString('hex') ?? null),
    ]
    try {
      await db.query(upsert, values)
    } catch (error) {
      if (sqlState(error) !== noPartition) throw error
      await rollupPartitions.create(db, [dayOf(minute.minute)])
      await db.query(upsert, values)
    }
  }

  return {
    add(minute, process, rollup) {
      const { rollups } = openMinute(minute, process)
      const same = rollups.findIndex(({ key }) => isSame(key, rollup.key))
      if (same < 0) rollups.push(rollup)
      else rollups[same] = mergedRollup(rollups[same] as MinuteRollup, rollup)
    },
    end(minute, process, ended) {
      const ofMinute = openMinute(minute, process)
      ofMinute.ended = ended
      waiting.push(ofMinute)
      open = null
    },
    forget(erased) {
      for (const { rollups, encoded } of open === null ? waiting : [...waiting, open]) {
        for (const { columns } of rollups) columns?.forget(erased)
        for (const row of encoded?.rows ?? []) row.columns = row.columns === null ? null : forgottenIn(row.columns, erased)
      }
    },
    get waiting() {
      return waiting.length
    },
    warnings: () => nextPartition.warnings,
    async write() {
      for (const minute of waiting) minute.encoded ??= await encode(minute)
      dropOldest()
      const last = waiting.at(-1)
      if (last !== undefined && clock !== undefined) await compareServerClock(database(), last.process, clock)
      while (waiting[0] !== undefined) {
        const [minute] = waiting
        await writeMinute(database(), minute, minute.encoded ?? (await encode(minute)))
        // others may have been added, and dropped, meanwhile
        waiting = waiting.filter((each) => each !== minute)
      }
      if (dropped > 0) log.warn({ minutes: dropped }, 'minutes of the rollups were dropped while the database was unavailable')
      dropped = 0
      if (last !== undefined) await nextPartition.create(dayOf(last.minute))
    },
  }
}

function forgottenIn(bytes: Buffer, erased: ForgottenEntity): Buffer {
  const columns = ColumnsSummary.decode(bytes)
  return columns?.forget(erased) === true ? columns.encode() : bytes
}

const upsert = `
  INSERT INTO lockstep.rollups (at, process, model, version, role, ended, traffic, columns)
  SELECT to_timestamp($1::float8 / 1000000), $2, r.model, r.version, r.role, $3, decode(r.traffic, 'hex'), decode(r.columns, 'hex')
  FROM unnest($4::text[], $5::int[], $6::text[], $7::text[], $8::text[]) AS r (model, version, role, traffic, columns)
  ON CONFLICT (at, process, model, version, role)
  DO UPDATE SET ended = excluded.ended, traffic = excluded.traffic, columns = excluded.columns`

function isSame(a: RollupKey, b: RollupKey): boolean {
  return a.model === b.model && a.version === b.version && a.role === b.role
}

function mergedRollup(a: MinuteRollup, b: MinuteRollup): MinuteRollup {
  a.traffic.merge(b.traffic)
  if (a.columns === null || b.columns === null) return { ...a, columns: a.columns ?? b.columns }
  const columns = new ColumnsSummary()
  columns.merge(a.columns)
  columns.merge(b.columns)
  return { ...a, columns }
}
