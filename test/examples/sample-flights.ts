import { join } from 'node:path'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import { rootFolder } from '../source-files.ts'

const hubs = new Set(['ATL', 'DEN', 'DFW', 'DTW', 'EWR', 'LAS', 'LAX', 'MSP', 'ORD', 'PHX', 'SFO', 'STL'])

const columns: readonly Column[] = [
  { name: 'date', type: { kind: 'timestamp' } },
  { name: 'delay', type: { kind: 'float64' } },
  { name: 'distance', type: { kind: 'int32' } },
  { name: 'origin', type: { kind: 'string' } },
  { name: 'destination', type: { kind: 'string' } },
]

export const flightsFile = join(rootFolder, 'node_modules/vega-datasets/data/flights-3m.parquet')
export const airportsFile = join(rootFolder, 'node_modules/vega-datasets/data/airports.csv')

/**
 * Writes the flights between twelve large airports in the first days of 2001: some 60,000 in January. Returns their
 * number.
 */
export async function writeSampleFlights(path: string, before: number): Promise<number> {
  const file = await openTabularFile(flightsFile)
  const writer = await createDatasetWriter(path, columns, { format: 'parquet' })
  for await (const batch of file.batches(columns.map(({ name }) => name))) {
    const [dates, delays, distances, origins, destinations] = batch.columns
    if (Number(dates?.[0]) >= before) break
    const kept = Array.from({ length: batch.rows }, (_, row) => row).filter(
      (row) => Number(dates?.[row]) < before && hubs.has(String(origins?.[row])) && hubs.has(String(destinations?.[row])),
    )
    await writer.write([
      kept.map((row) => Number(dates?.[row])),
      kept.map((row) => Number(delays?.[row])),
      kept.map((row) => Number(distances?.[row])),
      kept.map((row) => String(origins?.[row])),
      kept.map((row) => String(destinations?.[row])),
    ])
  }
  return (await writer.close()).rows
}
