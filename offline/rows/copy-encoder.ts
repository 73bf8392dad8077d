import { LockstepError } from '../../kernel/errors.ts'
import { maxEventIdBytes } from '../../kernel/specs/view-spec.ts'
import { dayMicros, postgresEpochMicros } from '../../kernel/values/time.ts'
import { CopyBuffer } from './copy-buffer.ts'
import { writeNumeric } from './copy-numeric.ts'
import {
  inFloat32,
  inInteger,
  inRow,
  toBool,
  toExactFloat,
  toFloat,
  toInteger,
  toMicros,
  toNumbers,
  toText,
  UnfitValue,
} from '../files/convert.ts'
import type { FileBatch, FileColumn } from '../files/tabular-file.ts'
import { timeTypes } from '../../runtime/postgres/relation.ts'
import { keyLengthCheck } from '../key-length.ts'

/** A column of a file on its way into a column of a table. */
export interface CopyColumn {
  readonly from: FileColumn
  /** PostgreSQL's name of the table column's type, as `describeTable` gives it. */
  readonly type: string
  readonly nullable: boolean
  /** Number of elements that a vector must have; null: any. */
  readonly length?: number | null
  /** Whether a float8 must keep all digits of a decimal or whole number of the file. */
  readonly exact?: boolean
  /** Whether the text `infinity` is a time here. */
  readonly infinity?: boolean
  /** Whether it is a part of the rows' key, which must not be too long. */
  readonly key?: boolean
  /** Whether it is the id of an event. */
  readonly eventId?: boolean
}

export interface CopyEncoder {
  /**
   * Every n-th row of a batch, counted over the whole file, in the form that `COPY … (FORMAT binary)` reads. Yields
   * full chunks, which are the receiver's to keep.
   *
   * @throws LockstepError `INVALID_ROW` naming file, row, column and value
   */
  encode(batch: FileBatch, every?: number): Iterable<Buffer>
  /** The last chunk. */
  finish(): Buffer[]
  /** Rows encoded so far. */
  readonly rows: number
}

type FieldWriter = (out: CopyBuffer, value: unknown) => void

const signature = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const rowsBetweenChunks = 1024

/**
 * Turns batches of a file into a binary COPY stream of the table columns, each value converted and checked.
 *
 * @throws LockstepError `SOURCE_TYPE_MISMATCH` naming a column whose type cannot be written
 */
export function createCopyEncoder(path: string, columns: readonly CopyColumn[]): CopyEncoder {
  const out = new CopyBuffer()
  const writers = columns.map(fieldWriter)
  const fields = columns.length
  const tooLong = keyLengthCheck(columns.flatMap(({ key, type }, index) => (key === true ? [{ index, type }] : [])))
  out.raw(signature)
  let written = 0

  function encodeRow(batch: FileBatch, row: number): void {
    out.int16(fields)
    let field = 0
    try {
      for (; field < fields; field++) {
        const value = (batch.columns[field] as ArrayLike<unknown>)[row]
        if (value !== null && value !== undefined) (writers[field] as FieldWriter)(out, value)
        else if (columns[field]?.nullable === true) out.int32(-1)
        else throw new UnfitValue('has no value, but needs one')
      }
      const found = tooLong === null ? null : tooLong(batch.columns, row)
      if (found !== null) {
        field = found.index
        throw found.error
      }
    } catch (error) {
      throw inRow(error, path, batch.rowNumbers?.[row] ?? batch.firstRow + row, columns[field]?.from.name ?? '')
    }
  }

  return {
    get rows() {
      return written
    },
    *encode(batch, every = 1) {
      let row = (every - ((batch.firstRow - 1) % every)) % every
      while (row < batch.rows) {
        for (let i = 0; i < rowsBetweenChunks && row < batch.rows; i++, row += every) {
          encodeRow(batch, row)
          written++
        }
        yield* out.takeFull()
      }
    },
    finish() {
      out.int16(-1)
      return out.takeRest()
    },
  }
}

function fieldWriter(column: CopyColumn): FieldWriter {
  const { from, type } = column
  const isTime = timeTypes.includes(type)
  const fileType = from.type?.kind
  if ((fileType === 'timestamp' && !isTime) || (isTime && fileType !== undefined && fileType !== 'timestamp' && fileType !== 'string')) {
    throw mismatch(`The column "${from.name}" is ${from.described} in the file and ${type} in the table; change one of them.`)
  }
  switch (type) {
    case 'bool':
      return (out, value) => {
        out.int32(1)
        out.byte(toBool(value) ? 1 : 0)
      }
    case 'int2':
      return (out, value) => {
        out.int32(2)
        out.int16(inInteger(toInteger(value, from), 2) as number)
      }
    case 'int4':
      return (out, value) => {
        out.int32(4)
        out.int32(inInteger(toInteger(value, from), 4) as number)
      }
    case 'int8':
      return (out, value) => {
        out.int32(8)
        out.int64(inInteger(toInteger(value, from), 8))
      }
    case 'float4':
      return (out, value) => {
        out.int32(4)
        out.float32(inFloat32(toFloat(value, from)))
      }
    case 'float8': {
      const toNumber = column.exact === true ? toExactFloat : toFloat
      return (out, value) => {
        out.int32(8)
        out.float64(typeof value === 'number' ? toFloat(value, from) : toNumber(value, from))
      }
    }
    case 'numeric':
      return (out, value) => writeNumeric(out, typeof value === 'string' ? value.trim() : String(toFloatOrInteger(value, from)))
    case 'text':
    case 'varchar':
    case 'bpchar':
    case 'enum':
      return column.eventId === true ? (out, value) => out.text(toEventId(value)) : (out, value) => out.text(toText(value))
    case 'timestamptz':
    case 'timestamp':
      return timeWriter(column)
    case 'date':
      return (out, value) => {
        const micros = toMicros(value, from)
        if (micros % dayMicros !== 0) throw new UnfitValue('has a time of day, which a date cannot hold')
        out.int32(4)
        out.int32((micros - postgresEpochMicros) / dayMicros)
      }
    case '_float4':
    case '_float8':
      return vectorWriter(column)
    default:
      throw mismatch(
        `The table's column "${from.name}" is of the type ${type}, which cannot be loaded; make it one of bool, int2, int4, int8, float4, float8, numeric, text, varchar, timestamptz, timestamp, date or float4[].`,
      )
  }
}

function toEventId(value: unknown): string {
  const id = toText(value)
  const bytes = Buffer.byteLength(id)
  if (bytes === 0 || bytes > maxEventIdBytes) throw new UnfitValue(`is an event id of ${bytes} bytes, not of 1 to ${maxEventIdBytes}`)
  return id
}

function timeWriter({ from, infinity }: CopyColumn): FieldWriter {
  return (out, value) => {
    out.int32(8)
    if (infinity === true && typeof value === 'string' && /^\s*infinity\s*$/i.test(value)) {
      out.int64(2n ** 63n - 1n)
    } else {
      const micros = toMicros(value, from)
      const sent = micros - postgresEpochMicros
      out.int64(Number.isSafeInteger(sent) ? sent : BigInt(micros) - BigInt(postgresEpochMicros))
    }
  }
}

/**
 * One dimension, no nulls, element type float4 (oid 700) or float8 (oid 701), lower bound 1. An empty array has no
 * dimension.
 */
function vectorWriter({ from, type, length = null }: CopyColumn): FieldWriter {
  const wide = type === '_float8'
  const fit = wide ? (number: number): number => number : inFloat32
  return (out, value) => {
    const vector = toNumbers(value, from, fit)
    if (length !== null && vector.length !== length) throw new UnfitValue(`has ${vector.length} elements, not ${length}`)
    const dimensions = vector.length === 0 ? 0 : 1
    out.int32(12 + dimensions * 8 + vector.length * (wide ? 12 : 8))
    out.int32(dimensions)
    out.int32(0)
    out.int32(wide ? 701 : 700)
    if (dimensions === 0) return
    out.int32(vector.length)
    out.int32(1)
    for (const element of vector) {
      out.int32(wide ? 8 : 4)
      if (wide) out.float64(element)
      else out.float32(element)
    }
  }
}

function toFloatOrInteger(value: unknown, from: FileColumn): number | bigint {
  return typeof value === 'bigint' ? value : toFloat(value, from)
}

function mismatch(message: string): LockstepError {
  return new LockstepError('SOURCE_TYPE_MISMATCH', message)
}
