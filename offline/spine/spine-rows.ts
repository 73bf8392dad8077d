import type { Value } from '../../kernel/value-type.ts'
import type { Snapshot } from '../../runtime/database.ts'
import { microsAt, safeInt64At, valueReader } from '../tuple-values.ts'
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

/** The rows of a spine in its own order. */
export async function* spineRows(snapshot: Snapshot, spine: Spine): AsyncGenerator<SpineBatch> {
  const readers = spine.columns.map(({ name, type }) => valueReader(type, `The column "${name}" of the spine`))
  for await (const { bytes, starts } of snapshot.tuples(rowsSelect(spine))) {
    const { length } = starts
    if (length === 0) continue
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const columns = readers.map(() => new Array<Value | null>(length))
    const times = new Array<number>(length)
    for (let row = 0; row < length; row++) {
      let at = (starts[row] as number) + 14
      times[row] = microsAt(view, at + 4)
      at += 12
      for (let c = 0; c < readers.length; c++) {
        const size = view.getInt32(at)
        at += 4
        const column = columns[c] as (Value | null)[]
        if (size < 0) {
          column[row] = null
        } else {
          column[row] = (readers[c] as (typeof readers)[number])(bytes, view, at, size)
          at += size
        }
      }
    }
    yield { length, first: safeInt64At(view, (starts[0] as number) + 6) - 1, times, columns }
  }
}
