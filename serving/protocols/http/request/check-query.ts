import { z } from 'zod'
import { isDuration } from '../../../../kernel/values/duration.ts'
import { LockstepError } from '../../../../kernel/errors.ts'
import { sayIssues } from '../../../../registry/load/format-issues.ts'
import type { Call } from '../call.ts'

/**
 * The parameters that the schema names; others are passed over.
 *
 * @throws LockstepError `INVALID_REQUEST` naming those that are not as the schema has them
 */
export function checkQuery<Schema extends z.ZodObject>(call: Call, schema: Schema): z.output<Schema> {
  const query = queryOf(call.incoming.url ?? '')
  for (const [name, text] of Object.entries(query)) {
    // PostgreSQL takes none
    if (text.includes('\0')) throw new LockstepError('INVALID_REQUEST', `The query of the URL is not valid: "${name}" has a zero byte.`)
  }
  const parsed = schema.safeParse(query)
  if (parsed.success) return parsed.data
  const { said, issues } = sayIssues(parsed.error, schema, query)
  throw new LockstepError('INVALID_REQUEST', `The query of the URL is not valid: ${said}.`, { details: { issues } })
}

/** @throws LockstepError `INVALID_REQUEST` for a value in the path that PostgreSQL does not take */
export function checkParams(params: Call['params']): void {
  for (const name in params) {
    if (params[name]?.includes('\0') !== true) continue
    throw new LockstepError('INVALID_REQUEST', `The path of the URL is not valid: its "${name}" has a zero byte.`)
  }
}

/** By name: the first of each, where one comes twice. */
function queryOf(url: string): Record<string, string> {
  const start = url.indexOf('?')
  if (start < 0) return {}
  return Object.fromEntries([...new URLSearchParams(url.slice(start))].toReversed())
}

/** A parameter with a duration. */
export function durationQuery() {
  return z.string().refine(isDuration, 'must be a duration such as 1h or 7d').optional()
}
