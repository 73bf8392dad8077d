import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { LockstepError } from '../errors.ts'

/** The transactions from `from` (inclusive) to `to` (exclusive). */
export interface TransactionRange {
  readonly from: number
  readonly to: number
}

/**
 * A set of transactions: exactly those whose rows are in a state or an answer. It contains all transactions below
 * `below`, and those of `beyond`. It is in normal form, so that equal sets have equal bytes and texts: the ranges
 * ascend, are not empty, and touch neither each other nor `below`.
 */
export interface Frontier {
  readonly below: number
  readonly beyond: readonly TransactionRange[]
}

/**
 * The maximum ranges of a snapshot's frontier. Transactions beyond the last range are left for a later snapshot. When a
 * single transaction is folded into a state with this many ranges, the entity's other rows are read too, which leaves
 * few ranges.
 */
export const maxRanges = 512
/** More than any build writes. Bytes with more ranges are corrupt. */
const maxRangesStored = 65_536

const noRanges: readonly TransactionRange[] = []
export const noTransactions: Frontier = { below: 0, beyond: noRanges }

export function allBelow(below: number): Frontier {
  return { below, beyond: noRanges }
}

export function oneTransaction(xid: number): Frontier {
  return normalized(0, [{ from: xid, to: xid + 1 }])
}

/**
 * The transactions that had ended when a snapshot was taken. These are all transactions whose rows it shows, except
 * those beyond `maxRanges` ranges.
 *
 * @param bounds all transactions below `xmin` have ended, and none from `xmax` on. In between, all have ended except
 *   `running`, which ascends.
 */
export function frontierOf(bounds: { readonly xmin: number; readonly xmax: number; readonly running: readonly number[] }): Frontier {
  const { xmin, xmax, running } = bounds
  const beyond: TransactionRange[] = []
  let from = xmin
  for (const to of [...running, xmax]) {
    if (to > from) beyond.push({ from, to })
    from = to + 1
  }
  const { below, beyond: ranges } = normalized(xmin, beyond)
  return { below, beyond: ranges.length > maxRanges ? ranges.slice(0, maxRanges) : ranges }
}

export function covers({ below, beyond }: Frontier, xid: number): boolean {
  if (xid < below) return true
  let [low, high] = [0, beyond.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const range = beyond[middle] as TransactionRange
    if (xid < range.from) high = middle
    else if (xid < range.to) return true
    else low = middle + 1
  }
  return false
}

export function withTransaction(frontier: Frontier, xid: number): Frontier {
  return covers(frontier, xid) ? frontier : union(frontier, oneTransaction(xid))
}

/** The exclusive upper bound of its transactions. */
export function upperBound({ below, beyond }: Frontier): number {
  return beyond.at(-1)?.to ?? below
}

/** The transactions in `a` or `b`. */
export function union(a: Frontier, b: Frontier): Frontier {
  if (includes(a, b)) return a
  if (includes(b, a)) return b
  return normalized(
    Math.max(a.below, b.below),
    [...a.beyond, ...b.beyond].sort((one, other) => one.from - other.from),
  )
}

/** The transactions in `a` but not in `b`. */
export function without(a: Frontier, b: Frontier): Frontier {
  const cuts = transactionRanges(b)
  const left: TransactionRange[] = []
  let cut = 0
  for (const { from, to } of transactionRanges(a)) {
    while (cut < cuts.length && (cuts[cut] as TransactionRange).to <= from) cut++
    let start = from
    for (let at = cut; at < cuts.length && start < to; at++) {
      const { from: cutFrom, to: cutTo } = cuts[at] as TransactionRange
      if (cutFrom >= to) break
      if (cutFrom > start) left.push({ from: start, to: cutFrom })
      start = cutTo
    }
    if (start < to) left.push({ from: start, to })
  }
  return normalized(0, left)
}

/** The transactions in both `a` and `b`. */
export function intersection(a: Frontier, b: Frontier): Frontier {
  return includes(a, b) ? b : without(a, without(a, b))
}

/** Whether `a` contains all transactions of `b`. */
export function includes(a: Frontier, b: Frontier): boolean {
  const last = b.beyond.at(-1)
  if (b.below <= a.below && (last === undefined || last.to <= a.below)) return true
  if (a.beyond.length === 0) return false
  const { below, beyond } = without(b, a)
  return below <= 0 && beyond.length === 0
}

/** Ascending and disjoint. */
export function transactionRanges({ below, beyond }: Frontier): readonly TransactionRange[] {
  return below > 0 ? [{ from: 0, to: below }, ...beyond] : beyond
}

/** @param ranges by ascending `from` */
function normalized(below: number, ranges: readonly TransactionRange[]): Frontier {
  let reached = below
  const beyond: { from: number; to: number }[] = []
  for (const { from, to } of ranges) {
    const last = beyond.at(-1)
    if (from <= reached) reached = Math.max(reached, to)
    else if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else beyond.push({ from, to })
  }
  return { below: reached, beyond: beyond.length === 0 ? noRanges : beyond }
}

/**
 * Writes `below`, the number of ranges, and for each range its distance from the previous one and its length. No
 * encoding is a prefix of another one.
 */
export function writeFrontier(writer: ByteWriter, { below, beyond }: Frontier): void {
  writer.int(below)
  writer.uint(beyond.length)
  let end = below
  for (const { from, to } of beyond) {
    writer.uint(from - end)
    writer.uint(to - from)
    end = to
  }
}

/** @throws LockstepError `STATE_CORRUPT` */
export function readFrontier(reader: ByteReader): Frontier {
  const below = reader.int()
  const count = reader.uint()
  if (count === 0) return { below, beyond: noRanges }
  if (count > maxRangesStored || !Number.isSafeInteger(below)) throw corrupt()
  const beyond: TransactionRange[] = []
  let end = below
  for (let i = 0; i < count; i++) {
    const from = end + reader.uint()
    const to = from + reader.uint()
    if (from <= end || to <= from || !Number.isSafeInteger(to)) throw corrupt()
    beyond.push({ from, to })
    end = to
  }
  return { below, beyond }
}

function corrupt(): LockstepError {
  return new LockstepError(
    'STATE_CORRUPT',
    'The arrival frontier of an online state is malformed; another program may write to this store. Materialize the view again.',
  )
}

/** `1234`, or with ranges `1234+1236..1240,1250`: all transactions below 1234, those from 1236 to 1240, and 1250. */
export function frontierText({ below, beyond }: Frontier): string {
  const ranges = beyond.map(({ from, to }) => (to === from + 1 ? `${from}` : `${from}..${to - 1}`))
  return ranges.length === 0 ? `${below}` : `${below}+${ranges.join()}`
}

/** @throws LockstepError `INVALID_REQUEST` for a text that `frontierText` does not produce */
export function parseFrontier(text: string): Frontier {
  const [below = '', ranges] = text.split('+', 2)
  const beyond = (ranges?.split(',') ?? []).map((range) => {
    const [first = '', last = first] = range.split('..', 2)
    return { from: Number(first), to: Number(last) + 1 }
  })
  const frontier = { below: Number(below), beyond: beyond.length === 0 ? noRanges : beyond }
  // The text must equal its own round trip, which also refuses texts that are not numbers or not in normal form.
  const safe = [frontier.below, ...beyond.flatMap(({ from, to }) => [from, to])].every(Number.isSafeInteger)
  if (safe && beyond.every(({ from, to }) => from < to) && frontierText(normalized(frontier.below, beyond)) === text) return frontier
  throw new LockstepError('INVALID_REQUEST', `"${text}" is not a frontier; write it as in answers: 1234 or 1234+1236..1240,1250.`, {
    details: { frontier: text },
  })
}
