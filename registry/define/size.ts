import { LockstepError } from '../../kernel/errors.ts'

const units: Readonly<Record<string, number>> = { b: 1, kb: 1000, mb: 1_000_000 }
/** A smaller state would be useless, and a larger one does not suit an online store. */
const [least, most] = [64, 512_000_000]

/**
 * Reads `'64kb'` or `'2mb'` into bytes.
 *
 * @throws LockstepError `DEFINITIONS_INVALID` naming the text and `what` it was for
 */
export function parseSize(text: string, what: string): number {
  const [, amount, unit] = (typeof text === 'string' ? /^(\d+(?:\.\d+)?)(b|kb|mb)$/.exec(text) : null) ?? []
  const size = Math.round(Number(amount) * (units[unit ?? ''] ?? Number.NaN))
  if (size >= least && size <= most) return size
  throw new LockstepError(
    'DEFINITIONS_INVALID',
    `${what} is "${String(text)}", which is not a size from ${least} bytes to 512 megabytes; write a number and a unit (b, kb of 1,000 or mb), as in "64kb".`,
  )
}
