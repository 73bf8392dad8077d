import type { Snapshot, TupleBatch } from '../../runtime/postgres/database.ts'

/** The fields of every tuple of a batch, decoded field by field. */
export function fieldsOf(batch: TupleBatch): (Buffer | null)[][] {
  return batch.starts.map((start) => {
    const fields: (Buffer | null)[] = []
    let at = start + 2
    for (let field = 0; field < batch.bytes.readInt16BE(start); field++) {
      const size = batch.bytes.readInt32BE(at)
      fields.push(size < 0 ? null : Buffer.from(batch.bytes.subarray(at + 4, at + 4 + size)))
      at += 4 + Math.max(size, 0)
    }
    return fields
  })
}

/** All rows of a SELECT of text columns. */
export async function textRows(snapshot: Snapshot, select: string): Promise<(string | null)[][]> {
  const rows: (string | null)[][] = []
  for await (const batch of snapshot.tuples(select)) {
    for (const fields of fieldsOf(batch)) rows.push(fields.map((field) => field?.toString('utf8') ?? null))
  }
  return rows
}

/** A tuple in PostgreSQL's binary form. */
export function tupleOf(fields: readonly (Uint8Array | null)[]): Buffer {
  const parts: Uint8Array[] = [int(2, fields.length)]
  for (const field of fields) parts.push(int(4, field?.length ?? -1), field ?? new Uint8Array(0))
  return Buffer.concat(parts)
}

export function int(bytes: 2 | 4, value: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  buffer.writeIntBE(value, 0, bytes)
  return buffer
}
