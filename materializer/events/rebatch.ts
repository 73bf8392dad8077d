import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { allBelow, includes, noTransactions } from '../../kernel/states/frontier.ts'
import { readOverCap } from '../../kernel/states/over-cap.ts'
import { readSetAside } from '../../kernel/states/set-aside.ts'
import { soundHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { fewRanges } from '../fold-stream.ts'
import type { StateReader } from '../state-reader.ts'

const keysPerRead = 100

export interface KeyGroup {
  /** Rows of these transactions are in the states of all of them: the others are needed. */
  readonly known: Frontier
  readonly keys: readonly EntityKey[]
}

/**
 * From which arrival on the rows of refused keys have to be read again: all rows of those that the store lacks, that
 * were too large for it or that are set aside, and of the others what none of them covers. Those that
 * have everything that was `seen` are left out.
 */
export async function rebatch(plan: ViewPlan, refused: readonly EntityKey[], read: StateReader, seen: Frontier): Promise<KeyGroup[]> {
  const absent: EntityKey[] = []
  const present: EntityKey[] = []
  let lowest = Number.POSITIVE_INFINITY
  for (let i = 0; i < refused.length; i += keysPerRead) {
    const keys = refused.slice(i, i + keysPerRead)
    const stored = await read(keys)
    for (const [at, key] of keys.entries()) {
      const bytes = stored[at]
      if (!bytes) {
        absent.push(key)
        continue
      }
      const header = soundHeader(bytes, plan.id)
      if (header === null) {
        absent.push(key)
        continue
      }
      const { frontier } = header
      const isAside = readSetAside(bytes, header) !== null
      if (!isAside && frontier.beyond.length <= fewRanges && includes(frontier, seen)) continue
      if (isAside || readOverCap(bytes, header) !== null) {
        absent.push(key)
        continue
      }
      lowest = Math.min(lowest, frontier.below)
      present.push(key)
    }
  }
  return [
    { known: noTransactions, keys: absent },
    { known: allBelow(lowest), keys: present },
  ].filter(({ keys }) => keys.length > 0)
}
