import { cutText } from '../../kernel/values/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'

/**
 * An error repeats parts of a request, which may be as long as its body. Of each text it keeps so much that the client
 * recognizes it.
 */
const maxText = 200
const maxMessage = 2000
const maxItems = 100
const maxDepth = 5

/**
 * The error, with long texts cut in its message and its details. Returns the error itself where nothing in it is long.
 */
export function shortError(error: LockstepError): LockstepError {
  const message = shortMessage(error.message)
  const details = shortened(error.details, 0) as Record<string, unknown>
  if (message === error.message && details === error.details) return error
  return new LockstepError(error.code, message, { cause: error, details })
}

export function shortMessage(message: string): string {
  if (message.length <= maxText) return message
  // each text between quotes, the short ones too: what lies between two of them is the error's own
  const short = message.replaceAll(/"([^"]*)"/g, (_, echo: string) => `"${cutText(echo, maxText)}"`)
  return cutText(short, maxMessage)
}

/** Returns the value itself where nothing in it is long. */
function shortened(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cutText(value, maxText)
  if (typeof value === 'bigint') return shortened(String(value), depth)
  if (typeof value !== 'object' || value === null) return value
  if (depth === maxDepth) return '…'
  if (Array.isArray(value)) {
    const items = value.slice(0, maxItems).map((item) => shortened(item, depth + 1))
    return items.length === value.length && items.every((item, i) => item === value[i]) ? value : items
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  const entries = Object.entries(value)
  const kept = entries.slice(0, maxItems).map(([name, item]) => [cutText(name, maxText), shortened(item, depth + 1)] as const)
  const isSame = kept.length === entries.length && kept.every(([name, item], i) => name === entries[i]?.[0] && item === entries[i]?.[1])
  return isSame ? value : Object.fromEntries(kept)
}
