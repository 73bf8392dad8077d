import type { Frontier } from '../../kernel/frontier.ts'
import type { ViewValues } from '../../kernel/state.ts'
import type { HistoryRequest } from '../../offline/history.ts'
import type { OnlineAnswer } from '../../online/read.ts'

/** Where a view's values for one entity came from. */
export interface ReadOrigin {
  /**
   * - `state`: the online store, also where nothing is stored, and what was read of it before it was away
   * - `history`: the offline history
   * - `rebuilt`: the history in place of a state, with the rows that are of the online store alone
   * - `default`: the store was away
   */
  readonly from: 'state' | 'history' | 'rebuilt' | 'default'
  /** The transactions whose rows are in the values, and no others; null: no row is. */
  readonly frontier: Frontier | null
  /** Of the greatest row, epoch microseconds. */
  readonly eventTime: number | null
}

/** What a read of features came to, in the order of entities and, for each, of uses. */
export interface ReadParts {
  /** By index of the uses. */
  readonly online: readonly boolean[]
  readonly values: readonly ViewValues[]
  /** Of the online store: of the uses that are online alone. */
  readonly answers: readonly OnlineAnswer[]
  /** What the history was asked instead, and by index of it, which of `values` that was, ascending. */
  readonly missing: readonly HistoryRequest[]
  readonly missingAt: readonly number[]
  /** The transactions that the history held. */
  readonly seen: Frontier | null
}

/** By entity, and there by index of the uses. */
export function originsOf(read: ReadParts): ReadOrigin[][] {
  const entities: ReadOrigin[][] = []
  const { online, values, answers, missing, missingAt } = read
  let [answer, instead] = [0, 0]
  for (let at = 0; at < values.length; at += online.length) {
    const origins: ReadOrigin[] = []
    for (let use = 0; use < online.length; use++) {
      const { eventTime } = values[at + use] as ViewValues
      const stored = online[use] === true ? answers[answer++] : undefined
      const frontier = stored?.frontier ?? null
      if (missingAt[instead] === at + use) {
        const from = missing[instead++]?.onlineOnly === true ? 'rebuilt' : 'history'
        origins.push({ from, frontier: read.seen, eventTime })
      } else {
        origins.push({ from: stored?.isDefault === true ? 'default' : 'state', frontier, eventTime })
      }
    }
    entities.push(origins)
  }
  return entities
}
