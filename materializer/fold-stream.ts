import type { EntityKey } from '../kernel/entity-key.ts'
import type { EntityState } from '../kernel/state.ts'
import { decodeStored, encodeStored, readHeader } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/row-decoder.ts'
import type { StateWriter } from './state-writer.ts'
import { withStored } from './stored-ahead.ts'

export interface FoldTarget {
  readonly plan: ViewPlan
  /** The stored bytes of each key, null where there are none, by index. */
  readonly read: (keys: readonly EntityKey[]) => Promise<readonly (Buffer | null)[]>
  readonly writer: StateWriter
  /** The stream holds all rows with an arrival in [from, to) of its entities; of a state that is stored, no row below `from` is missing. */
  readonly from: number
  /** The arrival frontier of the states that are written. A renewed state's orders the snapshots it can come from: that of a later one is not less. */
  readonly to: number
  /** Rows that become visible after it wait in their state. Epoch microseconds. */
  readonly moment: number
  /**
   * `resume`: the stored state is decoded and takes the rows that its frontier does not cover. `renew`: the stream holds all rows of each entity, and
   * its state starts empty.
   */
  readonly start: 'resume' | 'renew'
}

/**
 * Folds an ordered stream entity by entity into the states of the store; at no time are more than two batches of rows, a bounded part of the stored bytes
 * and one state held. An entity that the store already knows as far as `to`, or that no row adds to, is left alone.
 *
 *     stored frontier f     rows folded         written
 *     none, from = 0        all                 if absent still
 *     none, from > 0        none: refused, for its rows below `from` are not in the stream
 *     f < to                those from f on     if f still
 *     f >= to               none                no
 */
export async function foldStream(target: FoldTarget, stream: AsyncIterable<readonly SourceRow[]>): Promise<void> {
  const { plan, moment, writer } = target
  let entity: OpenEntity | null = null
  for await (const { rows, stored } of withStored(target.read, stream)) {
    for (const row of rows) {
      if (entity === null || row.key !== entity.key) {
        if (entity !== null) await close(target, entity)
        entity = open(target, row.key, stored.get(row.key) ?? null)
      }
      if (row.xid < entity.covered) continue
      const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
      if (folded === null) continue
      if (entity.unknown) {
        writer.refuse(entity.key)
        entity.covered = Number.POSITIVE_INFINITY
        continue
      }
      entity.state ??= entity.resumed === null ? plan.newState() : decodeStored(plan, entity.resumed)
      entity.state.add(folded, moment)
      entity.rows++
    }
  }
  if (entity !== null) await close(target, entity)
}

interface OpenEntity {
  readonly key: EntityKey
  readonly stored: Buffer | null
  readonly expectedFrontier: number | null
  /** Nothing is stored to go on from, and the stream does not begin at the first row. */
  readonly unknown: boolean
  /** The bytes that the state starts from. */
  readonly resumed: Buffer | null
  /** Rows with an arrival below it are passed over. */
  covered: number
  state: EntityState | null
  rows: number
}

function open({ plan, from, to, start }: FoldTarget, key: EntityKey, stored: Buffer | null): OpenEntity {
  const frontier = stored === null ? null : readHeader(stored, plan.id).frontier
  const resumes = start === 'resume'
  // A renewed state replaces one of the same frontier: it holds the same rows, and perhaps counts from another moment.
  const done = frontier !== null && (resumes ? frontier >= to : frontier > to)
  const covered = done ? Number.POSITIVE_INFINITY : resumes && frontier !== null ? frontier : Number.NEGATIVE_INFINITY
  const unknown = resumes && stored === null && from > 0
  return { key, stored, expectedFrontier: frontier, unknown, covered, resumed: resumes ? stored : null, state: null, rows: 0 }
}

async function close({ writer, to, moment }: FoldTarget, { key, stored, expectedFrontier, state, rows }: OpenEntity): Promise<void> {
  if (state === null) return
  state.advance(moment)
  const bytes = encodeStored(state, to)
  if (stored !== null && bytes.equals(stored)) return
  await writer.add({ key, expectedFrontier, bytes, rows })
}
