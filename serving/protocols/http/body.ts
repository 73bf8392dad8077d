import { isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import { cutText } from '../../../kernel/cut-text.ts'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { parseJson } from '../../../kernel/parse-json.ts'
import { sayIssues } from '../format-issues.ts'
import { requireTime } from '../../traffic/request-deadline.ts'
import { checkJsonShape } from './check-json-shape.ts'
import type { Call } from './context.ts'
import { rowsOf, takeRows } from './authorize.ts'
import { readChunks } from './read-bytes.ts'

const jsonType = /^\s*(application\/([\w.-]+\+)?json|text\/json)\s*(;|$)/i
const saysNothing = /^\s*(application\/x-www-form-urlencoded|text\/plain)\s*(;|$)/i

/**
 * The request's body, read within the limit, unpacked, parsed and validated.
 *
 * @param whenEmpty what there is where no body was sent; absent: it must be
 * @throws LockstepError `BODY_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE`, `REQUEST_ABORTED`, `RATE_LIMITED`, `DEADLINE_EXCEEDED`, or `INVALID_REQUEST` saying which field is wrong
 */
export async function readBody<Schema extends z.ZodType>(
  call: Call,
  limitBytes: number,
  schema: Schema,
  whenEmpty?: z.output<Schema>,
): Promise<z.output<Schema>> {
  checkType(call.incoming.headers)
  const text = textOf(await readChunks(call.incoming, limitBytes))
  // it may have come slowly
  const deadline = call.deadline
  if (deadline !== undefined) requireTime(deadline)
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
    if (call.takeRows !== undefined) await takeRows(call, rowsOf(parsed.data))
    return parsed.data
  }
  const { said, issues } = sayIssues(parsed.error, schema, json)
  throw new LockstepError('INVALID_REQUEST', `The body is not a valid request: ${said}.`, { details: { issues } })
}

/** A form or a picture is no JSON. */
/** @throws LockstepError `UNSUPPORTED_MEDIA_TYPE` */
export function checkType({ 'content-type': type, origin }: IncomingHttpHeaders): void {
  if (type === undefined || type.trim() === '' || jsonType.test(type)) return
  // what curl and fetch say of any body, where no page of a browser sends it
  if (origin === undefined && saysNothing.test(type)) return
  throw new LockstepError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The content type "${cutText(type, 100)}" is not taken; send JSON, as "application/json".`,
    { details: { contentType: cutText(type, 100) } },
  )
}

/** UTF-8, without the byte order mark that some editors begin a file with. @throws LockstepError `INVALID_REQUEST` */
function textOf(chunks: readonly Buffer[]): string {
  const [only] = chunks
  const bytes = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks)
  // what is none would become one character, whatever it was
  if (!isUtf8(bytes)) throw new LockstepError('INVALID_REQUEST', 'The body is not UTF-8, as JSON is; send it in that encoding.')
  const text = bytes.toString()
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}
