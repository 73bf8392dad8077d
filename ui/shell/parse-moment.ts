/**
 * A moment as the CLI takes it: a day, or a day and a time, in UTC unless an offset says otherwise.
 *
 * @returns RFC 3339, or null for a text that is no moment
 */
export function parseMoment(text: string): string | null {
  const parts = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,6})?)?)?(Z|[+-]\d{2}:\d{2})?$/.exec(text.trim())
  if (parts === null) return null
  const [, day = '', minutes = '00:00', seconds = ':00', zone = 'Z'] = parts
  const moment = `${day}T${minutes}${seconds}${zone}`
  return Number.isNaN(Date.parse(moment)) ? null : moment
}
