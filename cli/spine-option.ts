import { existsSync } from 'node:fs'
import { cutText } from '../kernel/values/cut-text.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { SpineInput } from '../offline/spine/spine.ts'
import { didYouMean } from '../kernel/did-you-mean.ts'

const beginnings = ['select', 'with', 'values', 'table']

/**
 * Reads `--spine` as a query if it looks like one and no file has that name.
 *
 * @throws LockstepError `USAGE` where it has several words that neither name a file nor begin like a query
 */
export function spineInput(text: string): SpineInput {
  const bare = text.replace(/^(\s|--[^\n]*\n|\/\*[^]*?\*\/)+/, '')
  const query = /^[\s(]*(select|with|values|table)\b\s*[\s("'*]/i.test(bare)
  if (existsSync(text)) return { file: text }
  if (query) return { sql: text }
  const [, first = ''] = /^[\s(]*([a-z]+)\s/i.exec(bare) ?? []
  if (first === '' || /\.(parquet|csv|jsonl|ndjson)$/i.test(text)) return { file: text }
  throw new LockstepError(
    'USAGE',
    `The spine "${cutText(text, 100)}" is neither a file nor a query. A query starts with SELECT, WITH, VALUES or TABLE.${didYouMean(first.toLowerCase(), beginnings)}`,
  )
}
