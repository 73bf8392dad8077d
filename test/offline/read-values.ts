import type { Column, Value } from '../../kernel/values/value-type.ts'
import { createCopyEncoder } from '../../offline/rows/copy-encoder.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { sqlTypeName } from '../../offline/rows/sql-type.ts'
import { valueReader } from '../../offline/rows/tuple-values.ts'
import { fieldsOf } from '../runtime/tuples.ts'

const headerBytes = 19

/** The rows of a file as they are ingested into a table of such columns and read from it again. */
export async function readRows(path: string, columns: readonly Column[]): Promise<(Value | null)[][]> {
  const file = await openTabularFile(path)
  const encoder = createCopyEncoder(
    path,
    columns.map(({ name, type }) => {
      const from = file.columns.find((column) => column.name === name)
      if (from === undefined) throw new Error(`no column ${name}`)
      return { from, type: sqlTypeName(type), nullable: true, length: type.kind === 'vector' ? type.length : null }
    }),
  )
  const chunks: Buffer[] = []
  for await (const batch of file.batches(columns.map(({ name }) => name))) chunks.push(...encoder.encode(batch))
  chunks.push(...encoder.finish())
  const bytes = Buffer.concat(chunks)
  const readers = columns.map(({ name, type }) => valueReader(type, name))
  return fieldsOf({ bytes, starts: tupleStarts(bytes) }).map((fields) =>
    fields.map((field, i) => {
      if (field === null) return null
      const view = new DataView(field.buffer, field.byteOffset, field.byteLength)
      return readers[i]?.(field, view, 0, field.length) ?? null
    }),
  )
}

function tupleStarts(bytes: Buffer): number[] {
  const starts: number[] = []
  for (let at = headerBytes; bytes.readInt16BE(at) >= 0;) {
    starts.push(at)
    const fields = bytes.readInt16BE(at)
    at += 2
    for (let field = 0; field < fields; field++) at += 4 + Math.max(bytes.readInt32BE(at), 0)
  }
  return starts
}
