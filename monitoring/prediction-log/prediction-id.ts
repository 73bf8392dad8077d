import { randomInt } from 'node:crypto'

const randomLength = 8
const randomValues = 36 ** randomLength

/**
 * The base of the ids of a request's predictions. A caller may send one request id twice, so an id that the caller sent
 * gets a random part; then every prediction id is unique without a look-up.
 *
 * @param sent what the caller sent as its request id; undefined: nothing
 */
export function predictionBase(requestId: string, sent: string | readonly string[] | undefined): string {
  return requestId === sent ? `${requestId}.${randomInt(randomValues).toString(36).padStart(randomLength, '0')}` : requestId
}

/** The prefix of the ids of a request's predictions. The index of the row in the request follows. */
export function predictionIdPrefix(base: string): string {
  return `${base}/`
}

/** The suffix that makes the prefix of a shadow's predictions from that of the request's predictions. */
export const shadowSuffix = '.shadow'

/** In SQL: the id of the answer to the same row, of a row of a shadow; else the row's own id. */
export function answeredIdSql(predictionId: string): string {
  return `regexp_replace(${predictionId}, '[.]shadow(/[0-9]+)$', '\\1')`
}

/** The same of an id. */
export function answeredId(predictionId: string): string {
  return predictionId.replace(/\.shadow(\/\d+)$/, '$1')
}
