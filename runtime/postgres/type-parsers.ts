/** Turns a value's text form, as PostgreSQL writes it, into what `Database.query` returns. */
export type ParseText = (text: string) => unknown

const bytea = 17
const int8 = 20
const date = 1082
const timestamp = 1114
const timestamptz = 1184

/**
 * The types, by their OID, that the two drivers would return differently. Times that a Date cannot hold (infinity, BC)
 * are invalid Dates.
 */
export const typeParsers: ReadonlyMap<number, ParseText> = new Map<number, ParseText>([
  [int8, (text) => text],
  [bytea, (text) => Buffer.from(text.slice(2), 'hex')],
  [date, (text) => new Date(`${text}T00:00:00Z`)],
  [timestamp, (text) => new Date(`${text.replace(' ', 'T')}Z`)],
  [timestamptz, parseMoment],
])

/** Sessions use UTC, so a text almost always ends in "+00". A fast way for these: a page reads thousands of them. */
function parseMoment(text: string): Date {
  if (text.endsWith('+00')) return new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
  return new Date(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'))
}
