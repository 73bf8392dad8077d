import type { IncomingHttpHeaders } from 'node:http'
import type { Context } from 'hono'
import type { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import { requireTime } from '../gateway/request-deadline.ts'
import type { RequestEnv } from './context.ts'
import { inflated } from './inflate.ts'
import { rowsOf, takeRows } from './pass-gateway.ts'

const jsonType = /^\s*(application\/([\w.-]+\+)?json|text\/json)\s*(;|$)/i
const saysNothing = /^\s*(application\/x-www-form-urlencoded|text\/plain)\s*(;|$)/i

/**
 * The request's body, read within the limit, unpacked, parsed and validated.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE`, `REQUEST_ABORTED`, `RATE_LIMITED`, `DEADLINE_EXCEEDED`, or `INVALID_REQUEST` saying which field is wrong
 */
export async function readBody<Schema extends z.ZodType>(
  c: Context<RequestEnv>,
  limitBytes: number,
  schema: Schema,
): Promise<z.output<Schema>> {
  checkType(c.env.incoming.headers)
  let text: string
  try {
    text = await readText(c, limitBytes)
  } catch (cause) {
    if (cause instanceof LockstepError || c.env.incoming.complete) throw cause
    throw new LockstepError('REQUEST_ABORTED', 'The connection ended before the whole body was there.', { cause })
  }
  // it may have come slowly
  const deadline = c.get('deadline')
  if (deadline !== undefined) requireTime(deadline)
  let json: unknown
  try {
    json = parseJson(text)
  } catch (cause) {
    throw new LockstepError('INVALID_REQUEST', `The body is not JSON: ${messageOf(cause)}. Send a JSON object.`, { cause })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) {
    if (c.get('takeRows') !== undefined) await takeRows(c, rowsOf(parsed.data))
    return parsed.data
  }
  const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), problem: issue.message }))
  const said = issues.map(({ field, problem }) => (field === '' ? problem : `"${field}": ${problem}`)).join('; ')
  throw new LockstepError('INVALID_REQUEST', `The body is not a valid request: ${said}.`, { details: { issues } })
}

/** A form or a picture is no JSON. */
function checkType({ 'content-type': type, origin }: IncomingHttpHeaders): void {
  if (type === undefined || jsonType.test(type)) return
  // what curl and fetch say of any body, where no page of a browser sends it
  if (origin === undefined && saysNothing.test(type)) return
  throw new LockstepError(
    'UNSUPPORTED_MEDIA_TYPE',
    `The content type "${type.slice(0, 100)}" is not taken; send JSON, as "application/json".`,
    { details: { contentType: type.slice(0, 100) } },
  )
}

async function readText(c: Context<RequestEnv>, limitBytes: number): Promise<string> {
  const { 'content-length': declared, 'content-encoding': encoding } = c.env.incoming.headers
  if (declared !== undefined && Number(declared) > limitBytes) throw tooLarge(limitBytes)
  if (encoding !== undefined && encoding !== 'identity') {
    return (await inflated(await readBytes(c, limitBytes), encoding, limitBytes, tooLarge)).toString('utf8')
  }
  if (declared !== undefined) return await c.req.text() // the HTTP parser holds the body to its declared length
  return (await readBytes(c, limitBytes)).toString('utf8')
}

async function readBytes(c: Context<RequestEnv>, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.byteLength
    if (size > limitBytes) throw tooLarge(limitBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export function tooLarge(limitBytes: number): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `The body is over the limit of ${limitBytes} bytes; send less in one request, or raise LOCKSTEP_BODY_LIMIT_BYTES.`,
    { details: { limitBytes } },
  )
}
