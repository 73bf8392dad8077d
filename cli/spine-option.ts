import { existsSync } from 'node:fs'
import type { SpineInput } from '../offline/spine/spine.ts'

/** Takes `--spine` for a query where it reads like one and no file has that name. */
export function spineInput(text: string): SpineInput {
  const query = /^[\s(]*(select|with|values|table)\b\s*[\s("'*]/i.test(text.replace(/^(\s|--[^\n]*\n|\/\*[^]*?\*\/)+/, ''))
  return query && !existsSync(text) ? { sql: text } : { file: text }
}
