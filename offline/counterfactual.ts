import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { covers, upperBound, includes } from '../kernel/states/frontier.ts'
import type { EntityState, FoldRow, Tie, ViewValues } from '../kernel/states/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { startTurns } from '../runtime/async.ts'
import type { Turns } from '../runtime/async.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { SourceRow } from './rows/row-decoder.ts'
import { sourceRows } from './rows/source-stream.ts'
import { eventBound } from './rows/stream-bounds.ts'

/** An answer that a server gave from one view's rows of one entity. */
export interface ServedAnswer {
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly asOf: number
  /** The transactions whose rows it includes. Ignored where the table has no arrival columns. */
  readonly frontier: Frontier
  /** Whether rows with `_online_only` count. */
  readonly onlineOnly: boolean
  /** The transactions that were committed when it was served, or a moment before. */
  readonly committed: Frontier
}

export interface CounterfactualOptions {
  /** Whether the source's table has arrival columns. If not, only the grace period shows which rows an answer has. */
  readonly hasArrivals: boolean
  /** How long after it becomes visible a row may be missing in an answer, microseconds. */
  readonly graceMicros: number
  readonly signal?: AbortSignal | undefined
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

/** The answer from each row set. */
export type Counterfactuals = Readonly<Record<RowSet, ViewValues>>

/** Keys of one query at most. */
const keysPerQuery = 500

/**
 * Computes answers again for each row set, from the rows of their entities as they are now.
 *
 * The answers of an entity form chains in which no row set loses a row from one answer to the next. So a chain has one
 * state for each row set, each row is added to it once, and the cost is that of rows plus answers, times chains. One
 * server that answers in the order of time makes one chain. Answers in another order make more: those of several
 * servers, and those about past moments.
 *
 * @returns by index of `served`
 * @throws the signal's reason when it is aborted
 */
export async function computeCounterfactuals(
  db: Pick<Database, 'snapshot'>,
  plan: ViewPlan,
  served: readonly ServedAnswer[],
  options: CounterfactualOptions,
): Promise<Counterfactuals[]> {
  const results = new Array<Counterfactuals>(served.length)
  const probes = served.map((answer, index): Probe => ({ answer, index }))
  const turns = startTurns(options.signal)
  for (const [onlineOnly, own] of Map.groupBy(probes, ({ answer }) => answer.onlineOnly)) {
    const byKey = Map.groupBy(own, ({ answer }) => answer.key)
    const keys = [...byKey.keys()]
    for (let at = 0; at < keys.length; at += keysPerQuery) {
      const some = keys.slice(at, at + keysPerQuery)
      const chains = new Map<EntityKey, readonly Chain[]>()
      for (const key of some) chains.set(key, await chainsOf(plan, byKey.get(key) ?? [], options, results, turns))
      const moments = some.flatMap((key) => (byKey.get(key) ?? []).map(({ answer }) => answer.asOf))
      const [first, last] = [moments.reduce((a, b) => Math.min(a, b)), moments.reduce((a, b) => Math.max(a, b))]
      const bounds = { keys: some, until: last, onlineOnly, withXid: options.hasArrivals, ...eventBound([plan], first) }
      // a snapshot for each query: while one is open, it delays changes of the table
      await db.snapshot(async (snapshot) => {
        for await (const rows of sourceRows(snapshot, [plan], bounds)) await addRows(plan, rows, chains, turns)
      })
      for (const chain of [...chains.values()].flat()) await chain.askUntil(Number.POSITIVE_INFINITY)
    }
  }
  return results
}

async function addRows(
  plan: ViewPlan,
  rows: readonly SourceRow[],
  chains: ReadonlyMap<EntityKey, readonly Chain[]>,
  turns: Turns,
): Promise<void> {
  for (const { key, eventTime, knownTime, tie, values, sortTime, xid } of rows) {
    const row = plan.fold(eventTime, knownTime, tie, values)
    if (row === null) continue
    const reversed = { ...row, tie: reversedTie(tie) }
    for (const chain of chains.get(key) ?? []) {
      if (chain.nextMoment < sortTime) await chain.askUntil(sortTime)
      chain.add(row, reversed, xid)
      if (turns.isOver()) await turns.next()
    }
  }
}

interface Probe {
  readonly answer: ServedAnswer
  /** The index in `served`. */
  readonly index: number
}

/** Chains that hold all probes of an entity, each in the first that it can follow. */
async function chainsOf(
  plan: ViewPlan,
  probes: readonly Probe[],
  options: CounterfactualOptions,
  results: Counterfactuals[],
  turns: Turns,
): Promise<readonly Chain[]> {
  const reach = ({ answer }: Probe): number => (options.hasArrivals ? upperBound(answer.frontier) : 0)
  const ordered = probes.toSorted((a, b) => a.answer.asOf - b.answer.asOf || reach(a) - reach(b))
  const groups: Probe[][] = []
  for (const probe of ordered) {
    const group = groups.find((each) => canFollow(probe, each.at(-1) as Probe, options))
    if (group === undefined) groups.push([probe])
    else group.push(probe)
    if (turns.isOver()) await turns.next()
  }
  return groups.map((group) => new Chain(plan, group, options, results, turns))
}

/** Whether all row sets of `before`, whose moment is not later, are part of those of `probe`. */
function canFollow({ answer }: Probe, { answer: before }: Probe, { hasArrivals }: CounterfactualOptions): boolean {
  return !hasArrivals || (includes(answer.frontier, before.frontier) && includes(answer.committed, before.committed))
}

/** Whether a row belongs to a row set of an answer. */
type IsMember = (answer: ServedAnswer, row: FoldRow, xid: number) => boolean

/** Answers whose row sets grow from one to the next. Rows are added in the order of the source. */
class Chain {
  readonly #probes: readonly Probe[]
  readonly #states: Readonly<Record<RowSet, EntityState>>
  readonly #members: readonly Members[]
  readonly #results: Counterfactuals[]
  readonly #turns: Turns
  #next = 0

  constructor(
    plan: ViewPlan,
    probes: readonly Probe[],
    { hasArrivals, graceMicros }: CounterfactualOptions,
    results: Counterfactuals[],
    turns: Turns,
  ) {
    this.#probes = probes
    this.#results = results
    this.#turns = turns
    const states = (this.#states = byRowSet(() => plan.newState()))
    const isVisible: IsMember = ({ asOf }, { visibleAt }) => visibleAt <= asOf
    const isSettled: IsMember = ({ asOf }, { visibleAt }) => visibleAt <= asOf - graceMicros
    const isOwn: IsMember = hasArrivals ? (answer, row, xid) => isVisible(answer, row, xid) && covers(answer.frontier, xid) : isSettled
    const isCommitted: IsMember = (answer, row, xid) => isSettled(answer, row, xid) && covers(answer.committed, xid)
    this.#members = [
      new Members(probes, isVisible, states.all, states.allReversed),
      new Members(probes, isOwn, states.frontier, states.frontierReversed),
      new Members(probes, (answer, row, xid) => isOwn(answer, row, xid) || isSettled(answer, row, xid), states.expected, null),
      new Members(probes, (answer, row, xid) => isOwn(answer, row, xid) || isCommitted(answer, row, xid), states.committed, null),
    ]
  }

  /** The moment of the next answer; Infinity: none is left. */
  get nextMoment(): number {
    return this.#probes[this.#next]?.answer.asOf ?? Number.POSITIVE_INFINITY
  }

  add(row: FoldRow, reversed: FoldRow, xid: number): void {
    for (const members of this.#members) members.add(row, reversed, xid, this.#next)
  }

  /** Computes the answers before a moment. All of their rows must have been added. */
  async askUntil(moment: number): Promise<void> {
    while (this.nextMoment < moment) {
      const { answer, index } = this.#probes[this.#next] as Probe
      for (const members of this.#members) {
        for (const { row, reversed } of members.due(this.#next)) {
          members.fold(row, reversed, answer.asOf)
          if (this.#turns.isOver()) await this.#turns.next()
        }
      }
      this.#results[index] = byRowSet((rowSet) => this.#states[rowSet].valueAt(answer.asOf))
      this.#next++
      if (this.#turns.isOver()) await this.#turns.next()
    }
  }
}

interface Waiting {
  readonly row: FoldRow
  readonly reversed: FoldRow
}

/** The states of a row set, and the rows that join them with a later answer. */
class Members {
  readonly #probes: readonly Probe[]
  readonly #isMember: IsMember
  readonly #state: EntityState
  readonly #reversed: EntityState | null
  /** By the index of the first probe whose answer they belong to. */
  readonly #waiting = new Map<number, Waiting[]>()

  constructor(probes: readonly Probe[], isMember: IsMember, state: EntityState, reversed: EntityState | null) {
    this.#probes = probes
    this.#isMember = isMember
    this.#state = state
    this.#reversed = reversed
  }

  /** @param next the index of the next probe */
  add(row: FoldRow, reversed: FoldRow, xid: number, next: number): void {
    const first = this.#firstWith(row, xid, next)
    const probe = this.#probes[first]
    if (probe === undefined) return // no answer has it
    if (first === next) return this.fold(row, reversed, probe.answer.asOf)
    const waiting = this.#waiting.get(first)
    if (waiting === undefined) this.#waiting.set(first, [{ row, reversed }])
    else waiting.push({ row, reversed })
  }

  /** Takes the rows that waited for a probe. */
  due(probe: number): readonly Waiting[] {
    const waiting = this.#waiting.get(probe) ?? []
    this.#waiting.delete(probe)
    return waiting
  }

  fold(row: FoldRow, reversed: FoldRow, asOf: number): void {
    this.#state.add(row, asOf)
    this.#reversed?.add(reversed, asOf)
  }

  /** Binary search: a row that belongs to one answer belongs to all later ones. */
  #firstWith(row: FoldRow, xid: number, next: number): number {
    let [low, high] = [next, this.#probes.length]
    let middle = next // most rows belong to the next answer
    while (low < high) {
      if (this.#isMember((this.#probes[middle] as Probe).answer, row, xid)) high = middle
      else low = middle + 1
      middle = (low + high) >>> 1
    }
    return low
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
