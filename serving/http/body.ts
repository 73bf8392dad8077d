import type { Context } from 'hono'
import type { z } from 'zod'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { RequestEnv } from './context.ts'

/**
 * The request's body, read within the limit, parsed and validated.
 *
 * @throws LockstepError `BODY_TOO_LARGE`, `REQUEST_ABORTED`, or `INVALID_REQUEST` saying which field is wrong
 */
export async function readBody<Schema extends z.ZodType>(
  c: Context<RequestEnv>,
  limitBytes: number,
  schema: Schema,
): Promise<z.output<Schema>> {
  let text: string
  try {
    text = await readText(c, limitBytes)
  } catch (cause) {
    if (cause instanceof LockstepError || c.env.incoming.complete) throw cause
    throw new LockstepError('REQUEST_ABORTED', 'The connection ended before the whole body was there.', { cause })
  }
  let json: unknown
  try {
    json = parseJson(text)
  } catch (cause) {
    throw new LockstepError('INVALID_REQUEST', `The body is not JSON: ${messageOf(cause)}. Send a JSON object.`, { cause })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), problem: issue.message }))
  const said = issues.map(({ field, problem }) => (field === '' ? problem : `"${field}": ${problem}`)).join('; ')
  throw new LockstepError('INVALID_REQUEST', `The body is not a valid request: ${said}.`, { details: { issues } })
}

async function readText(c: Context<RequestEnv>, limitBytes: number): Promise<string> {
  const declared = c.env.incoming.headers['content-length']
  if (declared !== undefined) {
    if (Number(declared) > limitBytes) throw tooLarge(limitBytes)
    return await c.req.text() // the HTTP parser holds the body to its declared length
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.byteLength
    if (size > limitBytes) throw tooLarge(limitBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tooLarge(limitBytes: number): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `The body is over the limit of ${limitBytes} bytes; send less in one request, or raise LOCKSTEP_BODY_LIMIT_BYTES.`,
    { details: { limitBytes } },
  )
}
