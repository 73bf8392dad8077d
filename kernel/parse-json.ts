/** Sixteen digits in a row: only such a body can hold an integer beyond 2^53. */
const longDigits = /\d{16}/
const integer = /^-?\d+$/

/** `JSON.parse`, but an integer literal that a number cannot hold exactly becomes a bigint. Throws SyntaxError as `JSON.parse` does. */
export function parseJson(text: string): unknown {
  if (!longDigits.test(text)) return JSON.parse(text)
  return JSON.parse(text, function exact(this: unknown, _key: string, value: unknown, context?: { source?: string }) {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value
    const source = context?.source
    return source !== undefined && integer.test(source) ? BigInt(source) : value
  } as (key: string, value: unknown) => unknown)
}
