import type { Context } from 'hono'
import type { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import type { RequestEnv } from './context.ts'

/** @throws LockstepError `INVALID_REQUEST` naming the parameters that are not as the schema has them; others are passed over */
export function checkQuery(c: Context<RequestEnv>, schema: z.ZodObject): void {
  const parsed = schema.safeParse(c.req.query())
  if (parsed.success) return
  const issues = parsed.error.issues.map((issue) => ({ field: issue.path.join('.'), problem: issue.message }))
  const said = issues.map(({ field, problem }) => `"${field}": ${problem}`).join('; ')
  throw new LockstepError('INVALID_REQUEST', `The query of the URL is not valid: ${said}.`, { details: { issues } })
}
