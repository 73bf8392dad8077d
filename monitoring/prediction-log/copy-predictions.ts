import { postgresEpochMicros } from '../../kernel/values/time.ts'
import { CopyBuffer } from '../../offline/rows/copy-buffer.ts'
import { copyHeader, copyTrailer } from '../../runtime/postgres/copy-pieces.ts'
import type { ColumnType, LoggedPrediction, WrittenAs } from './columns.ts'
import { logColumnName, logColumns, logFields } from './columns.ts'

export const copyPredictions = `COPY lockstep.prediction_log (${logFields.map(logColumnName).join(', ')}) FROM STDIN (FORMAT binary)`

const [byteaOid, int4Oid] = [17, 23]

/** How a value of each SQL type is written in binary COPY: its length in bytes, then the value. */
const writers: { readonly [Type in ColumnType]: (out: CopyBuffer, value: WrittenAs<Type>) => void } = {
  timestamptz(out, micros) {
    out.int32(8)
    out.int64(BigInt(micros) - BigInt(postgresEpochMicros))
  },
  text: (out, value) => out.text(value),
  json: (out, value) => out.text(value),
  integer(out, value) {
    out.int32(4)
    out.int32(value)
  },
  /** One dimension, no nulls, lower bound 1. */
  'integer[]'(out, values) {
    out.int32(20 + 8 * values.length)
    for (const part of [1, 0, int4Oid, values.length, 1]) out.int32(part)
    for (const value of values) {
      out.int32(4)
      out.int32(value)
    }
  },
  boolean(out, value) {
    out.int32(1)
    out.byte(value ? 1 : 0)
  },
  /** One dimension, no nulls, lower bound 1; an empty array has no dimension. */
  'bytea[]'(out, values) {
    const size = values.reduce((sum, value) => sum + 4 + value.length, values.length === 0 ? 12 : 20)
    out.int32(size)
    out.int32(values.length === 0 ? 0 : 1)
    out.int32(0)
    out.int32(byteaOid)
    if (values.length === 0) return
    out.int32(values.length)
    out.int32(1)
    for (const value of values) {
      out.int32(value.length)
      out.raw(value)
    }
  },
  pg_snapshot(out, { xmin, xmax, running }) {
    out.int32(4 + 8 * (2 + running.length))
    out.int32(running.length)
    for (const xid of [xmin, xmax, ...running]) out.int64(xid)
  },
}

const encoders = logFields.map((field) => ({
  field,
  // the list says that the field's value has this type
  write: writers[logColumns[field].type] as (out: CopyBuffer, value: unknown) => void,
}))

/** Rows for `copyPredictions`. */
export interface PredictionCopy {
  readonly rows: number
  add(row: LoggedPrediction): void
  /** The parts of the COPY that are full, taken away. */
  takeFull(): Buffer[]
  /** What is left of the COPY; nothing may be added after it. */
  finish(): Buffer[]
}

export function createPredictionCopy(): PredictionCopy {
  const out = new CopyBuffer()
  out.raw(copyHeader)
  let rows = 0
  return {
    get rows() {
      return rows
    },
    add(row) {
      rows++
      out.int16(encoders.length)
      for (const { field, write } of encoders) {
        const value = row[field]
        if (value === null) out.int32(-1)
        else write(out, value)
      }
    },
    takeFull: () => out.takeFull(),
    finish() {
      out.raw(copyTrailer)
      return out.takeRest()
    },
  }
}
