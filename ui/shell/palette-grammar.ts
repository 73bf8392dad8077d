import { parseMoment } from './parse-moment.ts'

/** A question about one entity, as the search palette takes it. */
export interface EntityQuestion {
  /** The entity's name, such as `airport`. */
  readonly entity: string
  readonly key: string
  readonly asOf: string | null
}

/** A request id, or a prediction id, as answers have them; null: the text is something else. */
export function parseAnswerId(text: string): string | null {
  return /^\s*([\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}(?:\/\d+)?)\s*$/i.exec(text)?.[1] ?? null
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
