import type { Frontier } from '../../kernel/states/frontier.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import type { HistoryRequest } from '../../offline/history.ts'
import type { OnlineAnswer } from '../../online/read.ts'

/** Where a view's values for one entity came from. */
export interface ReadOrigin {
  /**
   * - `state`: the online store, also where it has no state, or a state that was read before the store was down
   * - `history`: the offline history
   * - `rebuilt`: the history in place of a state, with the rows of the online store alone
   * - `default`: the store was down
   */
  readonly from: 'state' | 'history' | 'rebuilt' | 'default'
  /** The transactions whose rows the values include, exactly; null: no rows. */
  readonly frontier: Frontier | null
  /** The event time of the greatest row, epoch microseconds. */
  readonly eventTime: number | null
}

/** The parts of a feature read, in the order of entities and, for each, of uses. */
export interface ReadParts {
  /** By index of the uses. */
  readonly online: readonly boolean[]
  readonly values: readonly ViewValues[]
  /** The answers of the online store, for the uses that are online. */
  readonly answers: readonly OnlineAnswer[]
  /** The requests to the history instead, and for each the index in `values`, ascending. */
  readonly missing: readonly HistoryRequest[]
  readonly missingAt: readonly number[]
  /** The transactions that the history included. */
  readonly seen: Frontier | null
}

/** By entity, and for each by index of the uses. */
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
