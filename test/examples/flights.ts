import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ingestFile } from '../../offline/ingest/ingest.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import type { OpenedDatabase } from '../opened-database.ts'
import { openServer } from '../opened-database.ts'
import { rootFolder } from '../source-files.ts'
import { writeSampleFlights } from './sample-flights.ts'

export const example = join(rootFolder, 'examples/flights')

export interface Flights extends OpenedDatabase {
  readonly catalog: Catalog
  /** Removed at the end. */
  readonly folder: string
  /** The file that was ingested as `landings`. */
  readonly sample: string
}

/**
 * The flights example after `apply` and the ingest of a sample of the landings before `until`, in epoch microseconds.
 */
export async function openFlights(until: number): Promise<Flights> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-flights-'))
  const { db, close } = await openServer()
  await db.script(await readFile(join(example, 'schema.sql'), 'utf8'))
  await applyChanges(db, await loadDefinitions(join(example, 'features.ts')))
  const catalog = await loadCatalog(db)
  const sample = join(folder, 'flights.parquet')
  await writeSampleFlights(sample, until)
  await ingestFile(db, catalog.source('landings'), sample)
  return {
    db,
    catalog,
    folder,
    sample,
    async close() {
      await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
