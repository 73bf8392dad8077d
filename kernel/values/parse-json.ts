import { LockstepError } from '../errors.ts'

/** Sixteen digits in a row: only such a body can hold an integer beyond 2^53. */
const longDigits = /\d{16}/
const integer = /^-?\d+$/
/** A float64 has 309 at most: more are no number of anybody, and a bigint of a million of them takes half a second. */
const maxDigits = 400

/**
 * `JSON.parse`, but an integer literal that a number cannot hold exactly becomes a bigint.
 *
 * @throws SyntaxError as `JSON.parse` does; LockstepError `INVALID_REQUEST` for a number of more than 400 digits
 */
export function parseJson(text: string): unknown {
  if (!longDigits.test(text)) return JSON.parse(text)
  return JSON.parse(text, function exact(this: unknown, _key: string, value: unknown, context?: { source?: string }) {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
    const source = context?.source
    if (source === undefined) return value
    if (source.length > maxDigits) throw tooLong(source)
    return integer.test(source) ? BigInt(source) : value
  } as (key: string, value: unknown) => unknown)
}

function tooLong(source: string): LockstepError {
  return new LockstepError(
    'INVALID_REQUEST',
    `The JSON has the number "${source.slice(0, 20)}…" of ${source.length} digits, but at most ${maxDigits} are allowed; send a shorter one.`,
  )
}
