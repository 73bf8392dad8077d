import { ByteWriter } from '../../kernel/values/binary.ts'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Tie } from '../../kernel/states/state.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import type { Column, KeyType, Value } from '../../kernel/values/value-type.ts'
import type { TupleBatch } from '../../runtime/postgres/database.ts'
import { showKey } from '../../kernel/values/show-key.ts'
import { keyReader } from './tuple-key.ts'
import { microsAt, safeInt64At, timeOutside, valueReader } from './tuple-values.ts'

/** One row of a source, as an ordered stream delivers it. */
export interface SourceRow {
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly eventTime: number
  /** Epoch microseconds; null where the source has none; Infinity: never visible. */
  readonly knownTime: number | null
  /** The time by which the database sorted within the key: the later of both times, or the event time alone. */
  readonly sortTime: number
  readonly tie: Tie
  /** The transaction that wrote the row; -1 where it was not requested. */
  readonly xid: number
  /** By slot of the stream's columns, canonical. */
  readonly values: readonly (Value | null)[]
  /** Why the row cannot be read, where that is requested; its other members are unreliable then. */
  readonly failure?: LockstepError
}

/** The fields of a tuple, in the order of `streamSelect`. */
export interface RowLayout {
  /** The source's name, for messages. */
  readonly source: string
  readonly key: readonly Column<KeyType>[]
  readonly known: boolean
  readonly row: boolean
  readonly xid: boolean
  /** The selected columns: the stream's columns first. */
  readonly columns: readonly Column[]
  /** How many of `columns` belong to `SourceRow.values`; the others serve the tie only. */
  readonly delivered: number
  /** Without `row`: the slots whose raw canonical values, in this order, break ties. */
  readonly tie: readonly number[]
  readonly order: 'known' | 'event'
  /**
   * Deliver a row that cannot be read with its `failure`. A row whose key cannot be read is skipped, and this is called
   * with it. Default: throw.
   */
  readonly tolerant?: ((error: LockstepError) => void) | undefined
}

/**
 * Decodes tuples into rows and checks that they are ordered by (key, sort time).
 *
 * @throws LockstepError `INVALID_ROW`, `INVALID_TIME`, `ORDER_VIOLATED`
 */
export function createRowDecoder(layout: RowLayout): (batch: TupleBatch) => SourceRow[] {
  const source = `source "${layout.source}"`
  const keys = keyReader(layout.key, source)
  const readers = layout.columns.map(({ name, type }) => valueReader(type, `The column "${name}" of ${source}`))
  const width = readers.length
  const { known, row, xid, delivered, tolerant } = layout
  const byEvent = layout.order === 'event'
  const tieOf = tieWriter(layout.tie.map((slot) => ({ slot, codec: valueCodec((layout.columns[slot] as Column).type) })))
  let lastKey: EntityKey = ''
  let lastSortTime = Number.NEGATIVE_INFINITY

  return ({ bytes, starts }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const rows = new Array<SourceRow>(starts.length)
    let passedOver = 0
    for (let i = 0; i < starts.length; i++) {
      let key: EntityKey
      try {
        key = keys.read(bytes, view, (starts[i] as number) + 2)
      } catch (error) {
        if (tolerant === undefined || !(error instanceof LockstepError)) throw error
        tolerant(error)
        passedOver++
        continue
      }
      let at = keys.end()
      let failure: LockstepError | null = null
      const fail = (error: LockstepError): void => {
        if (tolerant === undefined) throw error
        failure ??= error
      }
      let eventTime = 0
      if (view.getInt32(at) < 0) {
        fail(invalidRow(layout, key, 'has no event time'))
        at += 4
      } else {
        eventTime = microsAt(view, at + 4)
        if (!Number.isSafeInteger(eventTime))
          fail(timeOutside(`The event time of a row of ${source} with key ${showKey(layout.key, key)}`, eventTime))
        at += 12
      }
      let knownTime: number | null = null
      if (known) {
        if (view.getInt32(at) >= 0) {
          knownTime = microsAt(view, at + 4)
          if (knownTime === Number.NEGATIVE_INFINITY) {
            knownTime = null // says no more than nothing
          } else if (knownTime !== Number.POSITIVE_INFINITY && !Number.isSafeInteger(knownTime)) {
            fail(timeOutside(`The known time of a row of ${source} with key ${showKey(layout.key, key)}`, knownTime))
          }
          at += 12
        } else {
          at += 4
        }
      }
      let identity = 0
      if (row) {
        if (view.getInt32(at) < 0) throw invalidRow(layout, key, 'has NULL in "_row"')
        identity = safeInt64At(view, at + 4)
        at += 12
      }
      let writer = -1
      if (xid) {
        if (view.getInt32(at) < 0) throw invalidRow(layout, key, 'has NULL in "_xid"')
        writer = safeInt64At(view, at + 4)
        at += 12
      }
      const values = new Array<Value | null>(width)
      try {
        for (let c = 0; c < width; c++) {
          const length = view.getInt32(at)
          at += 4
          if (length < 0) {
            values[c] = null
          } else {
            values[c] = (readers[c] as (typeof readers)[number])(bytes, view, at, length)
            at += length
          }
        }
      } catch (error) {
        const failed = withKey(error, layout.key, key)
        if (!(failed instanceof LockstepError)) throw failed
        fail(failed)
      }
      if (failure !== null) {
        if (key < lastKey) throw unordered(source)
        if (key !== lastKey) lastSortTime = Number.NEGATIVE_INFINITY
        lastKey = key
        rows[i - passedOver] = { key, eventTime, knownTime, sortTime: lastSortTime, tie: identity, xid: writer, values: [], failure }
        continue
      }
      const sortTime = byEvent || knownTime === null || knownTime < eventTime ? eventTime : knownTime
      if (key === lastKey ? sortTime < lastSortTime : key < lastKey) throw unordered(source)
      lastKey = key
      lastSortTime = sortTime
      const tie = row ? identity : tieOf(values)
      if (delivered < width) values.length = delivered
      rows[i - passedOver] = { key, eventTime, knownTime, sortTime, tie, xid: writer, values }
    }
    rows.length -= passedOver
    return rows
  }
}

interface TieColumn {
  readonly slot: number
  readonly codec: ReturnType<typeof valueCodec>
}

function tieWriter(columns: readonly TieColumn[]): (values: readonly (Value | null)[]) => string {
  const writer = new ByteWriter()
  return (values) => {
    writer.reset()
    for (const { slot, codec } of columns) codec.write(writer, values[slot] as Value | null)
    return writer.view().toString('latin1')
  }
}

function invalidRow(layout: RowLayout, key: EntityKey, what: string): LockstepError {
  return new LockstepError(
    'INVALID_ROW',
    `A row of source "${layout.source}" with key ${showKey(layout.key, key)} ${what}; correct or delete the row.`,
  )
}

/** Readers of values know their column, but not their row. */
function withKey(error: unknown, parts: readonly Column<KeyType>[], key: EntityKey): unknown {
  if (!(error instanceof LockstepError) || parts.length === 0) return error
  return new LockstepError(error.code, `${error.message} The row has the key ${showKey(parts, key)}.`, { cause: error })
}

function unordered(what: string): LockstepError {
  return new LockstepError(
    'ORDER_VIOLATED',
    `The rows of ${what} are not in the order of key and time, so results could be wrong. An index of the table may be damaged or use another collation. Run REINDEX on the table.`,
  )
}
