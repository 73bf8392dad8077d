import { randomInt } from 'node:crypto'

const randomLength = 8
const randomValues = 36 ** randomLength

/**
 * What the ids of a request's predictions begin with: the id of row 2 is `<base>/2`. A caller may send one request id
 * twice, so a random part is added to an id that the caller sent; then every id is unique without a look-up.
 *
 * @param sent what the caller sent as its request id; undefined: nothing
 */
export function predictionBase(requestId: string, sent: string | readonly string[] | undefined): string {
  return requestId === sent ? `${requestId}.${randomInt(randomValues).toString(36).padStart(randomLength, '0')}` : requestId
}

export function predictionId(base: string, row: number): string {
  return `${base}/${row}`
}
