import type { EntityKey } from '../kernel/entity-key.ts'
import type { Frontier } from '../kernel/frontier.ts'
import { covers } from '../kernel/frontier.ts'
import type { EntityState, FoldRow, Tie, ViewValues } from '../kernel/state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Snapshot } from '../runtime/database.ts'
import { sourceRows } from './source-stream.ts'
import { eventBound } from './stream-bounds.ts'

/** An answer that is in doubt: what it would have been of some of the rows and of others. */
export interface DoubtedAnswer {
  readonly plan: ViewPlan
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly asOf: number
  /** The transactions whose rows it was made of; null: of a table that tells no arrivals, so that only the grace tells which these may be. */
  readonly own: Frontier | null
  /** Whether rows count that are of the online store alone. */
  readonly onlineOnly: boolean
  /** The transactions that had ended when it was given, or a moment before. */
  readonly there: Frontier
  /** How long a row may be visible and not in it yet, microseconds. */
  readonly graceMicros: number
}

/** What the answer is, by which of the rows that are visible at its moment count. */
export interface WhatIf {
  /** Those of its own transactions. */
  readonly own: ViewValues
  /** Those, and all that had been visible for longer than the grace. */
  readonly prompt: ViewValues
  /** Of these, the ones that were there then. */
  readonly there: ViewValues
  readonly all: ViewValues
  /** As `own` and `all`, but among rows of the same event and known time the order is turned round. */
  readonly ownTurned: ViewValues
  readonly allTurned: ViewValues
}

/** Keys of one query at most. */
const keysPerQuery = 500

/**
 * Makes answers that are in doubt again in several ways, each from one pass over its entity's rows as they are now.
 *
 * @param tellsArrivals whether the source's table does
 * @returns by index of `doubted`
 */
export async function whatIf(
  snapshot: Snapshot,
  plan: ViewPlan,
  doubted: readonly Omit<DoubtedAnswer, 'plan'>[],
  tellsArrivals: boolean,
): Promise<WhatIf[]> {
  const probes = doubted.map((answer) => new Probe(plan, answer))
  for (const onlineOnly of [true, false]) {
    const byKey = new Map<EntityKey, Probe[]>()
    for (const probe of probes) {
      if (probe.answer.onlineOnly !== onlineOnly) continue
      const known = byKey.get(probe.answer.key)
      if (known === undefined) byKey.set(probe.answer.key, [probe])
      else known.push(probe)
    }
    const keys = [...byKey.keys()]
    for (let at = 0; at < keys.length; at += keysPerQuery) {
      const some = keys.slice(at, at + keysPerQuery)
      const moments = some.flatMap((key) => (byKey.get(key) ?? []).map(({ answer }) => answer.asOf))
      const [first, last] = [moments.reduce((a, b) => Math.min(a, b)), moments.reduce((a, b) => Math.max(a, b))]
      const bounds = { keys: some, until: last, onlineOnly, withXid: tellsArrivals, ...eventBound([plan], first) }
      for await (const rows of sourceRows(snapshot, [plan], bounds)) {
        for (const row of rows) {
          const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
          if (folded !== null) for (const probe of byKey.get(row.key) ?? []) probe.take(folded, row.xid)
        }
      }
    }
  }
  return probes.map((probe) => probe.answers())
}

class Probe {
  readonly answer: Omit<DoubtedAnswer, 'plan'>
  readonly #states: Readonly<Record<keyof WhatIf, EntityState>>

  constructor(plan: ViewPlan, answer: Omit<DoubtedAnswer, 'plan'>) {
    this.answer = answer
    this.#states = {
      own: plan.newState(),
      prompt: plan.newState(),
      there: plan.newState(),
      all: plan.newState(),
      ownTurned: plan.newState(),
      allTurned: plan.newState(),
    }
  }

  take(row: FoldRow, xid: number): void {
    const { asOf, own, there, graceMicros } = this.answer
    if (row.visibleAt > asOf) return
    const { tie } = row
    const turned = { ...row, tie: turnedTie(tie) }
    const isSettled = row.visibleAt <= asOf - graceMicros
    const isOwn = own === null ? isSettled : covers(own, xid)
    const isPrompt = isOwn || isSettled
    const states = this.#states
    states.all.add(row, asOf)
    states.allTurned.add(turned, asOf)
    if (isOwn) {
      states.own.add(row, asOf)
      states.ownTurned.add(turned, asOf)
    }
    if (isPrompt) states.prompt.add(row, asOf)
    if (isOwn || (isPrompt && covers(there, xid))) states.there.add(row, asOf)
  }

  answers(): WhatIf {
    const { asOf } = this.answer
    const { own, prompt, there, all, ownTurned, allTurned } = this.#states
    return {
      own: own.valueAt(asOf),
      prompt: prompt.valueAt(asOf),
      there: there.valueAt(asOf),
      all: all.valueAt(asOf),
      ownTurned: ownTurned.valueAt(asOf),
      allTurned: allTurned.valueAt(asOf),
    }
  }
}

/** A tie that comes before another's where this one came after it. */
function turnedTie(tie: Tie): Tie {
  if (typeof tie === 'number') return -tie
  let turned = ''
  for (let i = 0; i < tie.length; i++) turned += String.fromCharCode(0xffff - tie.charCodeAt(i))
  return `${turned}\uffff`
}
