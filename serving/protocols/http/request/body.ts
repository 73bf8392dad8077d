import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import { cutText } from '../../../../kernel/values/cut-text.ts'
import { LockstepError, messageOf } from '../../../../kernel/errors.ts'
import { parseJson } from '../../../../kernel/values/parse-json.ts'
import { traced } from '../../../../runtime/tracing/span.ts'
import { sayIssues } from '../../../../registry/load/format-issues.ts'
import { takeRows } from '../../../traffic/authorize.ts'
import { checkJsonShape } from './check-json-shape.ts'
import type { Call } from '../call.ts'
import { readChunks } from './read-bytes.ts'
import type { Route } from '../route.ts'

const jsonType = /^\s*(application\/([\w.-]+\+)?json|text\/json)\s*(;|$)/i
const saysNothing = /^\s*(application\/x-www-form-urlencoded|text\/plain)\s*(;|$)/i

/**
 * The body of a request: read within the limit, decompressed, parsed and validated. Its rows are taken from the limit
 * of the API key.
 *
 * @param whenEmpty stands for a body that was not sent; absent: there must be one
 * @throws LockstepError `BODY_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE`, `REQUEST_ABORTED`, `RATE_LIMITED`,
 *   `DEADLINE_EXCEEDED`, or `INVALID_REQUEST` saying which field is wrong
 */
export function readBody<Schema extends z.ZodType>(
  call: Call,
  limitBytes: number,
  schema: Schema,
  whenEmpty?: z.output<Schema>,
): Promise<z.output<Schema>> {
  return traced(call.span, 'read body', () => parseBody(call, limitBytes, schema, whenEmpty))
}

async function parseBody<Schema extends z.ZodType>(
  call: Call,
  limitBytes: number,
  schema: Schema,
  whenEmpty?: z.output<Schema>,
): Promise<z.output<Schema>> {
  checkType(call.incoming.headers)
  const text = textOf(await readChunks(call, limitBytes))
  if (text === '' && whenEmpty !== undefined) return whenEmpty
  let json: unknown
  try {
    checkJsonShape(text)
    json = parseJson(text)
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError('INVALID_REQUEST', `The body is not JSON: ${messageOf(cause)}. Send a JSON object.`, { cause })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) {
    const { takeRows: limited, route } = call
    if (isStored(route)) requireNoZeroByte(parsed.data)
    if (limited !== undefined && route.rowsIn !== undefined) await takeRows(call, countRows(parsed.data, route.rowsIn))
    return parsed.data
  }
  const { said, issues } = sayIssues(parsed.error, schema, json)
  throw new LockstepError('INVALID_REQUEST', `The body is not a valid request: ${said}.`, { details: { issues } })
}

/** Whether texts of the body go to PostgreSQL. Routes that take rows judge each row. */
function isStored({ scope }: Route): boolean {
  return scope === 'admin' || scope === null
}

/** @throws LockstepError `INVALID_REQUEST` naming the text that PostgreSQL does not take */
function requireNoZeroByte(value: unknown, path: readonly string[] = []): void {
  if (typeof value === 'string' && value.includes('\0')) {
    throw new LockstepError('INVALID_REQUEST', `The body is not a valid request: "${path.join('.')}" has a zero byte; remove it.`, {
      details: { field: path.join('.') },
    })
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) {
    requireNoZeroByte(name, [...path, name])
    requireNoZeroByte(inner, [...path, name])
  }
}

/** Requires JSON: a form or a picture is none. @throws LockstepError `UNSUPPORTED_MEDIA_TYPE` */
export function checkType({ 'content-type': type, origin }: IncomingHttpHeaders): void {
  if (type === undefined || type.trim() === '' || jsonType.test(type)) return
  // curl and fetch send these with any body; a page of a browser means them
  if (origin === undefined && saysNothing.test(type)) return
  throw new LockstepError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The content type "${cutText(type, 100)}" is not supported; send JSON as "application/json".`,
    { details: { contentType: cutText(type, 100) } },
  )
}

/** UTF-8, without the byte order mark that some editors begin a file with. @throws LockstepError `INVALID_REQUEST` */
function textOf(chunks: readonly Buffer[]): string {
  const [only] = chunks
  const bytes = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks)
  // what is none would become one character, whatever it was
  if (!isUtf8(bytes)) throw new LockstepError('INVALID_REQUEST', 'The body is not UTF-8; send JSON in UTF-8.')
  const text = bytes.toString()
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/** How many rows a body has in a field: an array of them, or an object of columns. */
function countRows(body: unknown, field: NonNullable<Route['rowsIn']>): number {
  const rows: unknown = (body as Readonly<Record<string, unknown>>)[field]
  const [column]: unknown[] = typeof rows === 'object' && rows !== null && !Array.isArray(rows) ? Object.values(rows) : [rows]
  return Array.isArray(column) ? column.length : 0
}
