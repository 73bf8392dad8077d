import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { eventIdColumn } from '../../kernel/specs/view-spec.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** `redis:landings:1700000000000-0`: names the event of a message that names none. */
export function messageEventId({ kind, stream }: Pick<StreamSpec, 'kind' | 'stream'>, message: string): string {
  return `${kind}:${stream}:${message}`
}

export interface MessageEventOptions {
  /** The columns that are taken of a record of Avro. null: of JSON, all members are. */
  readonly columns?: readonly string[] | null
  readonly limitBytes?: number
}

/**
 * The event in a message, as an event reader takes it; one that has no id is known by its place.
 *
 * @param body null: what came is not of the form that holds a message
 * @throws LockstepError `INVALID_EVENT`
 */
export function messageEvent(
  body: Uint8Array | null,
  place: string,
  { columns = null, limitBytes = Number.POSITIVE_INFINITY }: MessageEventOptions,
): unknown {
  const read = jsonOf(body, limitBytes)
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return read
  const json = columns === null ? read : projected(read, columns)
  const own: unknown = Reflect.get(json, eventIdColumn)
  return own === undefined || own === null ? { ...json, [eventIdColumn]: place } : json
}

/** Schemas of Avro evolve: columns are found by their names, other fields are left out, and a missing field is null. */
function projected(read: object, columns: readonly string[]): object {
  const own = (name: string): unknown => (Object.hasOwn(read, name) ? Reflect.get(read, name) : null)
  return Object.fromEntries([...columns, eventIdColumn].map((name) => [name, own(name)]))
}

function jsonOf(body: Uint8Array | null, limitBytes: number): unknown {
  const refuse = (why: string, cause?: unknown): LockstepError =>
    new LockstepError('INVALID_EVENT', why, { cause, details: { reason: 'not_json' } })
  if (body === null) throw refuse('There is no message: an entry of Redis without the field, or a record of Kafka without a value.')
  if (body.length > limitBytes)
    throw refuse(`The message has ${body.length} bytes, over the limit of ${limitBytes}; raise LOCKSTEP_BODY_LIMIT_BYTES.`)
  try {
    return parseJson(utf8.decode(body))
  } catch (cause) {
    throw refuse(`The message is not JSON: ${messageOf(cause)}.`, cause)
  }
}
