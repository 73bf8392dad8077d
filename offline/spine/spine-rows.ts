import type { Value } from '../../kernel/values/value-type.ts'
import type { Snapshot } from '../../runtime/postgres/database.ts'
import { microsAt, safeInt64At, valueReader } from '../rows/tuple-values.ts'
import type { Spine } from './spine.ts'
import { rowsSelect } from './spine-sql.ts'

/** Consecutive rows of a spine, by column. */
export interface SpineBatch {
  readonly length: number
  /** Number of the first row, from 0. */
  readonly first: number
  /** Epoch microseconds. */
  readonly times: readonly number[]
  /** By index of `spine.columns`. */
  readonly columns: readonly (readonly (Value | null)[])[]
}

/**
 * How large a batch is, however the database cuts its answer: so the runs of a model are full, and the same each time.
 */
const [rowsPerBatch, bytesPerBatch] = [4_096, 8 * 2 ** 20]

/** The rows of a spine in its own order. */
export async function* spineRows(snapshot: Snapshot, spine: Spine): AsyncGenerator<SpineBatch> {
  const readers = spine.columns.map(({ name, type }) => valueReader(type, `The column "${name}" of the spine`))
  let columns: (Value | null)[][] = readers.map(() => [])
  let times: number[] = []
  let [first, held] = [0, 0]
  for await (const { bytes, starts } of snapshot.tuples(rowsSelect(spine))) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (const start of starts) {
      let at = start + 14
      if (times.length === 0) first = safeInt64At(view, start + 6) - 1
      times.push(microsAt(view, at + 4))
      at += 12
      for (let c = 0; c < readers.length; c++) {
        const size = view.getInt32(at)
        at += 4
        const column = columns[c] as (Value | null)[]
        if (size < 0) {
          column.push(null)
        } else {
          column.push((readers[c] as (typeof readers)[number])(bytes, view, at, size))
          at += size
        }
      }
      held += at - start
      if (times.length < rowsPerBatch && held < bytesPerBatch) continue
      yield { length: times.length, first, times, columns }
      columns = readers.map(() => [])
      times = []
      held = 0
    }
  }
  if (times.length > 0) yield { length: times.length, first, times, columns }
}
