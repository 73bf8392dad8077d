import { parseAccept } from 'hono/utils/accept'
import { cutText } from '../../../../kernel/values/cut-text.ts'
import { LockstepError } from '../../../../kernel/errors.ts'

/** An Arrow IPC stream (https://www.iana.org/assignments/media-types/application/vnd.apache.arrow.stream). */
export const arrowType = 'application/vnd.apache.arrow.stream'
export const jsonType = 'application/json'

type TableType = typeof jsonType | typeof arrowType
const offered: readonly TableType[] = [jsonType, arrowType]

/**
 * The media type of an answer that both have: the one with the greatest `q`, then the one that `accept` names more
 * exactly, then JSON (RFC 9110, section 12.5.1).
 *
 * @throws LockstepError `NOT_ACCEPTABLE`
 */
export function tableTypeFor(accept: string | undefined): TableType {
  if (accept === undefined || accept === '*/*' || accept === jsonType) return jsonType
  if (accept === arrowType) return arrowType
  const ranges = parseAccept(accept.toLowerCase())
  if (ranges.length === 0) return jsonType
  let best: { readonly type: TableType; readonly q: number; readonly precision: number } | null = null
  for (const type of offered) {
    const matching = ranges
      .flatMap(({ type: range, q }) => ({ q, precision: precisionOf(range, type) }))
      .filter(({ precision }) => precision > 0)
    // the most exact range says what a type is worth
    const [range] = matching.toSorted((a, b) => b.precision - a.precision || b.q - a.q)
    if (range === undefined || range.q === 0) continue
    if (best === null || range.q > best.q || (range.q === best.q && range.precision > best.precision)) best = { type, ...range }
  }
  if (best !== null) return best.type
  throw new LockstepError(
    'NOT_ACCEPTABLE',
    `The header accept is "${cutText(accept, 200)}", but the answer can only be ${offered.map((type) => `"${type}"`).join(' or ')}; accept one of them.`,
    { details: { offered } },
  )
}

/** 0: the range does not include the type. */
function precisionOf(range: string, type: string): number {
  if (range === type) return 3
  if (range === `${type.slice(0, type.indexOf('/'))}/*`) return 2
  return range === '*/*' ? 1 : 0
}
