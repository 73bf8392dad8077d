import { cutText } from './values/cut-text.ts'
import { LockstepError } from './errors.ts'
import type { Frontier } from './states/frontier.ts'
import { frontierText, noTransactions, parseFrontier, union, withTransaction } from './states/frontier.ts'

/**
 * The maximum number of transactions that a token lists. Beyond it, the oldest become one range, which includes other
 * transactions: a read then waits for these too.
 */
const maxTransactions = 64

/**
 * The token that a push returns. A read that passes it sees the pushed rows. `landings~0+8123` names the source and the
 * transactions that wrote to it.
 */
export function pushToken(source: string, xids: readonly number[]): string {
  const sorted = xids.toSorted((a, b) => a - b)
  const many = sorted.length - maxTransactions
  const newest = sorted.slice(Math.max(0, many)).reduce(withTransaction, noTransactions)
  const [oldest, last] = [sorted[0], sorted[many - 1]]
  const written =
    oldest === undefined || last === undefined ? newest : union(newest, { below: 0, beyond: [{ from: oldest, to: last + 1 }] })
  return `${source}~${frontierText(written)}`
}

/** @throws LockstepError `INVALID_REQUEST` for a text that is not a push token */
export function parsePushToken(token: string): { readonly source: string; readonly written: Frontier } {
  const at = token.indexOf('~')
  try {
    const written = parseFrontier(token.slice(at + 1))
    // the range of the oldest transactions is one more entry
    if (at > 0 && written.beyond.length <= maxTransactions + 1) return { source: token.slice(0, at), written }
  } catch (cause) {
    throw invalid(token, cause)
  }
  throw invalid(token)
}

function invalid(token: string, cause?: unknown): LockstepError {
  return new LockstepError('INVALID_REQUEST', `"${cutText(token, 100)}" is not a token; send the "token" of a push unchanged.`, {
    cause,
  })
}
