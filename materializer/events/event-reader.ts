import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { parseValue, shown } from '../../kernel/values/parse-value.ts'
import { formatTimestamp, requireMicros } from '../../kernel/values/time.ts'
import { eventIdColumn, maxEventIdBytes } from '../../kernel/specs/view-spec.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { keyLengthCheck } from '../../offline/key-length.ts'
import { sqlTypeName } from '../../offline/rows/sql-type.ts'
import type { EventColumn, EventTable } from './event-table.ts'

/** An event that was checked, ready to be written. */
export interface SourceEvent {
  readonly id: string | null
  /** By index of the table's columns, as the database reads texts. */
  readonly texts: readonly (string | null)[]
  /** About how much memory it takes. */
  readonly bytes: number
}

/** Why an event was refused, as metrics count it and `details.reason` has it. */
export type EventRefusal =
  | 'not_an_object'
  | 'event_id'
  | 'unknown_column'
  | 'missing_column'
  | 'wrong_type'
  | 'future'
  | 'key_too_long'
  | 'refused_by_table'

export interface EventReaderOptions {
  /** How far after its receipt an event may say it happened or was known. */
  readonly futureMicros: number
}

/**
 * Compiles the reader of a source's events: JSON objects with every column of the source, no more and no less, and
 * `_event_id` where they have one. The known time may be left out, and is never before the receipt: what came now was
 * not known before.
 *
 * @returns the event at `index` of what was sent, received at that moment (epoch microseconds)
 * @throws LockstepError (the reader) `INVALID_EVENT` naming the event's index, the column and the value
 */
export function createEventReader(
  table: EventTable,
  { futureMicros }: EventReaderOptions,
): (json: unknown, index: number, receivedAt: number) => SourceEvent {
  const { source, columns } = table
  const names = new Set(columns.map(({ name }) => name))
  const taken = quotedNames(names)
  const texts = columns.map(({ type }) => textOf(type.kind))
  const keys = columns.flatMap(({ key }, index) => (key ? [index] : []))
  const tooLong = keyLengthCheck(keys.map((index) => ({ index, type: sqlTypeName((columns[index] as EventColumn).type) })))

  return (json, index, receivedAt) => {
    if (!isRecord(json)) throw refused('not_an_object', index, null, `Event ${index} is ${shown(json)}; send an object with ${taken}.`)
    for (const name of Object.keys(json)) {
      if (names.has(name) || name === eventIdColumn) continue
      throw refused(
        'unknown_column',
        index,
        name,
        `Event ${index} has "${name}", for which the source "${source.name}" has no column. It has ${taken}, and accepts "${eventIdColumn}".`,
      )
    }
    const id = Object.hasOwn(json, eventIdColumn) ? readId(json[eventIdColumn], index) : null
    const values = columns.map((column) => read(json, column, index, receivedAt))
    if (keys.length > 0 && keys.every((at) => values[at] === null)) {
      throw refused(
        'missing_column',
        index,
        columns[keys[0] as number]?.name ?? null,
        `Event ${index} has no key (${keys.map((at) => `"${columns[at]?.name}"`).join(', ')}), so it belongs to no entity; send a key.`,
      )
    }
    const long = tooLong === null ? null : tooLong(values.map((value) => [value]), 0) // prettier-ignore
    if (long !== null) {
      const column = columns[long.index]?.name ?? null
      throw refused('key_too_long', index, column, `The column "${column}" of event ${index} ${long.error.message}.`)
    }
    const written = values.map((value, at) => (value === null ? null : (texts[at] as (value: Value) => string)(value)))
    let bytes = 100 + 2 * (id?.length ?? 0)
    for (const text of written) bytes += 16 + 2 * (text?.length ?? 0)
    return { id, texts: written, bytes }
  }

  function read(event: Readonly<Record<string, unknown>>, column: EventColumn, index: number, receivedAt: number): Value | null {
    const { name, type, nullable, known } = column
    const what = `The column "${name}" of event ${index}`
    const json = Object.hasOwn(event, name) ? event[name] : undefined
    if (json === undefined && name !== source.known) {
      throw refused('missing_column', index, name, `${what} is missing; send it as ${typeName(type)}${nullable ? ', or null' : ''}.`)
    }
    if (json === null || json === undefined) {
      if (name === source.known) return receivedAt
      if (nullable) return null
      const why = name === source.eventTime ? 'it is the event time; send a time' : 'the table has it as NOT NULL; send a value'
      throw refused('missing_column', index, name, `${what} is null, but ${why}.`)
    }
    // never visible
    if (known && json === 'infinity') return Number.POSITIVE_INFINITY
    let value: Value
    try {
      value = parseValue(type, json, what)
    } catch (cause) {
      throw refused('wrong_type', index, name, messageOf(cause), json, cause)
    }
    if (Number.isNaN(value) || (typeof value === 'string' && value.includes('\0'))) {
      const why = typeof value === 'string' ? 'contains a zero byte, which PostgreSQL cannot store' : 'is NaN; send null'
      throw refused('wrong_type', index, name, `${what} ${why}.`, json)
    }
    if (name !== source.eventTime && name !== source.known) return value
    const time = value as number
    try {
      if (typeof json === 'number') requireMicros(json, what)
    } catch (cause) {
      throw refused('wrong_type', index, name, messageOf(cause), json, cause)
    }
    if (time > receivedAt + futureMicros) {
      throw refused(
        'future',
        index,
        name,
        `${what} is ${formatTimestamp(time)}, more than ${futureMicros / 1_000_000} s after now (${formatTimestamp(receivedAt)}); correct the clock of the sender or of this server, or raise LOCKSTEP_FUTURE_SECONDS.`,
        json,
      )
    }
    return name === source.known && time < receivedAt ? receivedAt : time
  }
}

function readId(id: unknown, index: number): string | null {
  if (id === null) return null
  if (typeof id === 'string' && id !== '' && id.isWellFormed() && !id.includes('\0') && Buffer.byteLength(id) <= maxEventIdBytes) return id
  throw refused(
    'event_id',
    index,
    eventIdColumn,
    `The id ("${eventIdColumn}") of event ${index} is ${shown(id)}; send a string of 1 to ${maxEventIdBytes} bytes, or leave it out.`,
    id,
  )
}

function refused(
  reason: EventRefusal,
  index: number,
  column: string | null,
  message: string,
  value?: unknown,
  cause?: unknown,
): LockstepError {
  const details = { event: index, ...(column === null ? {} : { column }), ...(value === undefined ? {} : { value: shown(value) }), reason }
  return new LockstepError('INVALID_EVENT', message, { cause, details })
}

/** How PostgreSQL reads a value of that kind as text, exactly. */
function textOf(kind: EventColumn['type']['kind']): (value: Value) => string {
  if (kind === 'timestamp') return (value) => (value === Number.POSITIVE_INFINITY ? 'infinity' : formatTimestamp(value as number))
  if (kind === 'vector') return (value) => `{${(value as Float32Array).join()}}`
  return String
}
