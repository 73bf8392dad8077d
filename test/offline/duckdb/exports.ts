import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDataset } from '../../../offline/datasets/dataset.ts'
import { ingestFile } from '../../../offline/ingest/ingest.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadDefinitions } from '../../../registry/load/load-definitions.ts'
import { openServer } from '../../opened-database.ts'

export interface Exports {
  /** Every flight at its departure, by what was visible before. */
  readonly latest: string
  /** Some flights in an order of their own, some of them twice, and some without a destination. */
  readonly windows: string
  close(): Promise<void>
}

/** Some flights have no reading, some an odd one, and of some it is not known when they landed. */
const schema = `
  create table flights (
    date timestamp not null,
    delay integer not null,
    distance integer not null,
    origin text not null,
    destination text not null,
    reading double precision
      generated always as (case when delay > 400 then double precision 'NaN' when distance % 50 <> 0 then delay end) stored,
    landed_at timestamp
      generated always as (case when distance % 70 <> 0 then date + interval '1 second' * (delay * 60 + distance * 36 / 5) end) stored,
    _row bigint generated always as identity,
    _xid xid8 not null default pg_current_xact_id()
  )`

const sample = `
  create table asked as
    select _row as flight, date + interval '10 minutes' * (_row % 7) as moment, origin, nullif(destination, 'BOS') as destination
    from flights, generate_series(1, 2) copy
    where _row % 15 = 0 and (copy = 1 or _row % 120 = 0)`

/** The same rows for DuckDB. */
export const sampleOfCopy = `
  create table asked as
    select row_number() over (order by flight % 1009, flight) - 1 as ordinal, flight, date + 600_000_000 * (flight % 7) as moment,
      origin, nullif(destination, 'BOS') as destination
    from flights, generate_series(1, 2) s (copy)
    where flight % 15 = 0 and (copy = 1 or flight % 120 = 0)`

/** Ingests a file of flights and exports training sets of them, by all that a user would call. */
export async function exportFlights(flightsFile: string): Promise<Exports> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-duckdb-'))
  const { db, close } = await openServer()
  try {
    await db.script(schema)
    await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'definitions.ts')))
    const catalog = await loadCatalog(db)
    await ingestFile(db, catalog.source('landings'), flightsFile)
    const latest = join(folder, 'latest.parquet')
    const all = { sql: 'select _row as flight, date, origin, destination from flights order by _row' }
    await createDataset(db, catalog.service('latest_values'), { spine: all, out: latest, columns: ['flight'], asOf: 'before' })
    const windows = join(folder, 'windows.parquet')
    await db.script(sample) // a query over the flights themselves would be refused, for a flight would see itself
    await createDataset(db, catalog.service('windows'), {
      spine: { sql: 'select * from asked order by flight % 1009, flight' },
      out: windows,
      columns: ['flight'],
    })
    return { latest, windows, close: () => rm(folder, { recursive: true }) }
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  } finally {
    await close()
  }
}
