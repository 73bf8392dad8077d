import { table } from '../../cli/text/table.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'

/** Prints the first rows of a file, each as a column, because training sets are wide. */
export async function firstRows(path: string, rows: number): Promise<string> {
  const file = await openTabularFile(path)
  for await (const batch of file.batches(file.columns.map(({ name }) => name))) {
    const shown = Math.min(rows, batch.rows)
    const lines = file.columns.map(({ name, type }, c) => [
      name,
      ...Array.from({ length: shown }, (_, row) => cell(batch.columns[c]?.[row], type?.kind === 'timestamp')),
    ])
    return table(['COLUMN', ...Array.from({ length: shown }, (_, row) => `ROW ${row + 1}`)], lines)
  }
  return 'The file has no rows.'
}

function cell(value: unknown, isTime: boolean): string {
  if (typeof value === 'string') return value
  if (typeof value !== 'number') return JSON.stringify(value ?? null)
  return isTime ? formatTimestamp(value) : String(Math.round(value * 1000) / 1000)
}
