import { parseMoment } from './parse-moment.ts'

/** A question about one entity, as the search palette takes it. */
export interface EntityQuestion {
  /** The entity's name, such as `airport`. */
  readonly entity: string
  readonly key: string
  readonly asOf: string | null
}

/**
 * Reads `airport:ATL @ 2001-03-04T10:00`. The moment may be missing.
 *
 * @returns null for a text that is something else
 */
export function parseQuestion(text: string): EntityQuestion | null {
  const parts = /^\s*([A-Za-z_]\w*)\s*:\s*(.+?)\s*(?:@\s*(\S+(?:\s\S+)?)\s*)?$/.exec(text)
  if (parts === null) return null
  const [, entity = '', key = '', moment] = parts
  const asOf = moment === undefined ? null : parseMoment(moment)
  return moment !== undefined && asOf === null ? null : { entity, key, asOf }
}
