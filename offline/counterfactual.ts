import type { EntityKey } from '../kernel/entity-key.ts'
import type { Frontier } from '../kernel/frontier.ts'
import { covers } from '../kernel/frontier.ts'
import type { EntityState, FoldRow, Tie, ViewValues } from '../kernel/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Snapshot } from '../runtime/database.ts'
import type { SourceRow } from './row-decoder.ts'
import { sourceRows } from './source-stream.ts'
import { eventBound } from './stream-bounds.ts'

/** An answer that a server gave from one view's rows of one entity. */
export interface ServedAnswer {
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly asOf: number
  /**
   * The transactions whose rows it includes; null: the table has no arrival columns, so only the grace period tells.
   */
  readonly frontier: Frontier | null
  /** Whether rows count that are of the online store alone. */
  readonly onlineOnly: boolean
  /** The transactions that were committed when it was served, or a moment before. */
  readonly committed: Frontier
  /** How long after it becomes visible a row may be missing in it, microseconds. */
  readonly graceMicros: number
}

/**
 * The row sets from which an answer is computed again. All hold only rows that are visible at its moment.
 *
 * - `frontier`: the rows of its own transactions
 * - `expected`: those, and all that had been visible for longer than the grace period
 * - `committed`: of these, the rows that were committed when it was served
 * - `all`: all rows
 * - `frontierReversed`, `allReversed`: as `frontier` and `all`, with rows of equal event and known time in reverse
 *   order
 */
export type RowSet = 'frontier' | 'expected' | 'committed' | 'all' | 'frontierReversed' | 'allReversed'

/** What the answer is for each row set. */
export type Counterfactuals = Readonly<Record<RowSet, ViewValues>>

/** Keys of one query at most. */
const keysPerQuery = 500

/**
 * Computes answers again for each row set, in one pass over the rows of their entities as they are now.
 *
 * @param hasArrivals whether the source's table has arrival columns
 * @returns by index of `served`
 */
export async function computeCounterfactuals(
  snapshot: Snapshot,
  plan: ViewPlan,
  served: readonly ServedAnswer[],
  hasArrivals: boolean,
): Promise<Counterfactuals[]> {
  const probes = served.map((answer) => new Probe(plan, answer))
  for (const [onlineOnly, own] of Map.groupBy(probes, ({ answer }) => answer.onlineOnly)) {
    const byKey = Map.groupBy(own, ({ answer }) => answer.key)
    const keys = [...byKey.keys()]
    for (let at = 0; at < keys.length; at += keysPerQuery) {
      const some = keys.slice(at, at + keysPerQuery)
      const moments = some.flatMap((key) => (byKey.get(key) ?? []).map(({ answer }) => answer.asOf))
      const [first, last] = [moments.reduce((a, b) => Math.min(a, b)), moments.reduce((a, b) => Math.max(a, b))]
      const bounds = { keys: some, until: last, onlineOnly, withXid: hasArrivals, ...eventBound([plan], first) }
      for await (const rows of sourceRows(snapshot, [plan], bounds)) addRows(plan, rows, byKey)
    }
  }
  return probes.map((probe) => probe.counterfactuals())
}

function addRows(plan: ViewPlan, rows: readonly SourceRow[], byKey: ReadonlyMap<EntityKey, readonly Probe[]>): void {
  for (const row of rows) {
    const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
    if (folded !== null) for (const probe of byKey.get(row.key) ?? []) probe.add(folded, row.xid)
  }
}

/** One answer, with a state for each row set. */
class Probe {
  readonly answer: ServedAnswer
  readonly #states: Readonly<Record<RowSet, EntityState>>

  constructor(plan: ViewPlan, answer: ServedAnswer) {
    this.answer = answer
    this.#states = byRowSet(() => plan.newState())
  }

  add(row: FoldRow, xid: number): void {
    const { asOf, frontier, committed, graceMicros } = this.answer
    if (row.visibleAt > asOf) return
    const reversed = { ...row, tie: reversedTie(row.tie) }
    const isSettled = row.visibleAt <= asOf - graceMicros
    const isInFrontier = frontier === null ? isSettled : covers(frontier, xid)
    const states = this.#states
    states.all.add(row, asOf)
    states.allReversed.add(reversed, asOf)
    if (isInFrontier) {
      states.frontier.add(row, asOf)
      states.frontierReversed.add(reversed, asOf)
    }
    if (isInFrontier || isSettled) states.expected.add(row, asOf)
    if (isInFrontier || (isSettled && covers(committed, xid))) states.committed.add(row, asOf)
  }

  counterfactuals(): Counterfactuals {
    return byRowSet((rowSet) => this.#states[rowSet].valueAt(this.answer.asOf))
  }
}

export function byRowSet<T>(valueOf: (rowSet: RowSet) => T): Readonly<Record<RowSet, T>> {
  return {
    frontier: valueOf('frontier'),
    expected: valueOf('expected'),
    committed: valueOf('committed'),
    all: valueOf('all'),
    frontierReversed: valueOf('frontierReversed'),
    allReversed: valueOf('allReversed'),
  }
}

/** A tie that comes before another's where this one came after it. */
function reversedTie(tie: Tie): Tie {
  if (typeof tie === 'number') return -tie
  let reversed = ''
  for (let i = 0; i < tie.length; i++) reversed += String.fromCharCode(0xffff - tie.charCodeAt(i))
  return `${reversed}\uffff`
}
