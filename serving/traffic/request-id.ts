import { randomUUID } from 'node:crypto'

const acceptable = /^[\x21-\x7e]{1,128}$/

/**
 * The id of a request: what the caller sent as `x-request-id`, where that is 1 to 128 printable ASCII characters
 * without spaces, else a new one.
 */
export function requestIdOf(sent: string | readonly string[] | undefined): string {
  return typeof sent === 'string' && acceptable.test(sent) ? sent : randomUUID()
}

/** As JSON has it: of all that an id may hold, two characters are written in another way there. */
export function requestIdJson(id: string): string {
  return /["\\]/.test(id) ? JSON.stringify(id) : `"${id}"`
}
