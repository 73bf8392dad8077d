/** Turns a value's text form, as PostgreSQL writes it, into what `Database.query` returns. */
export type ParseText = (text: string) => unknown

const BYTEA = 17
const INT8 = 20
const DATE = 1082
const TIMESTAMP = 1114
const TIMESTAMPTZ = 1184

/** The types, by their OID, that the two drivers would return differently. Times that a Date cannot hold (infinity, BC) are invalid Dates. */
export const controlValues: ReadonlyMap<number, ParseText> = new Map<number, ParseText>([
  [INT8, (text) => text],
  [BYTEA, (text) => Buffer.from(text.slice(2), 'hex')],
  [DATE, (text) => new Date(`${text}T00:00:00Z`)],
  [TIMESTAMP, (text) => new Date(`${text.replace(' ', 'T')}Z`)],
  [TIMESTAMPTZ, (text) => new Date(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'))],
])
