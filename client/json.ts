const stringsAndNumbers = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
/** A whole number that JSON.parse might round. */
const longInteger = /^-?\d{16,}$/

/** Parses JSON as usual, but returns whole numbers that a double may not hold as strings of digits. */
export function parseJson(text: string): unknown {
  return JSON.parse(text.replace(stringsAndNumbers, (token) => (longInteger.test(token) ? `"${token}"` : token)))
}

/**
 * Writes exact JSON for a server: int64 as digits, dates as RFC 3339, typed arrays as arrays, NaN and the infinities by
 * name.
 */
export function writeJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return String(each)
    if (typeof each === 'number' && !Number.isFinite(each)) return String(each)
    return each instanceof Float32Array ? [...each] : each
  })
}
