import type { EntityKey } from '../kernel/entity-key.ts'
import type { EntityState } from '../kernel/state.ts'
import { decodeStored, encodeStored, readHeader } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/row-decoder.ts'
import type { OnlineStore } from '../online/store.ts'
import type { StateWriter } from './state-writer.ts'

export interface FoldTarget {
  readonly store: OnlineStore
  readonly plan: ViewPlan
  readonly writer: StateWriter
  /** The arrival frontier of the states that are written: the stream holds all rows below it that they lack. */
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
 * Folds an ordered stream entity by entity into the states of the store; at no time are more than two batches of rows and one state held. An entity
 * that the store already knows as far as `to`, or that no row adds to, is left alone.
 *
 *     stored frontier f     rows folded         written
 *     none                  all                 if absent still
 *     f < to                those from f on     if f still
 *     f >= to               none                no
 */
export async function foldStream(target: FoldTarget, stream: AsyncIterable<readonly SourceRow[]>): Promise<void> {
  const { plan, moment } = target
  let entity: OpenEntity | null = null
  for await (const { rows, stored } of withStored(target, stream)) {
    for (const row of rows) {
      if (entity === null || row.key !== entity.key) {
        if (entity !== null) await close(target, entity)
        entity = open(target, row.key, stored.get(row.key) ?? null)
      }
      if (row.xid < entity.covered) continue
      const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
      if (folded === null) continue
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
  /** Rows with an arrival below it are folded already. */
  readonly covered: number
  /** The bytes that the state starts from. */
  readonly resumed: Buffer | null
  state: EntityState | null
  rows: number
}

function open({ plan, to, start }: FoldTarget, key: EntityKey, stored: Buffer | null): OpenEntity {
  const frontier = stored === null ? null : readHeader(stored, plan.id).frontier
  const resumes = start === 'resume'
  // A renewed state replaces one of the same frontier: two snapshots can differ though no transaction has ended below their frontier.
  const done = frontier !== null && (resumes ? frontier >= to : frontier > to)
  const covered = done ? Number.POSITIVE_INFINITY : resumes && frontier !== null ? frontier : Number.NEGATIVE_INFINITY
  return { key, stored, expectedFrontier: frontier, covered, resumed: resumes ? stored : null, state: null, rows: 0 }
}

async function close({ writer, to, moment }: FoldTarget, { key, stored, expectedFrontier, state, rows }: OpenEntity): Promise<void> {
  if (state === null) return
  state.advance(moment)
  const bytes = encodeStored(state, to)
  if (stored !== null && bytes.equals(stored)) return
  await writer.add({ key, expectedFrontier, bytes, rows })
}

interface StoredBatch {
  readonly rows: readonly SourceRow[]
  /** The stored bytes of those entities whose first row is in `rows`. */
  readonly stored: ReadonlyMap<EntityKey, Buffer>
}

/** Reads each batch's states ahead, while the batch before it is folded. */
async function* withStored(target: FoldTarget, stream: AsyncIterable<readonly SourceRow[]>): AsyncGenerator<StoredBatch> {
  let before: EntityKey | null = null
  let ahead: Promise<StoredBatch> | null = null
  for await (const rows of stream) {
    const next = readStored(target, beginning(rows, before)).then((stored) => ({ rows, stored }))
    // Its failure is reported when it is its turn.
    next.catch(() => {})
    before = rows.at(-1)?.key ?? before
    if (ahead !== null) yield await ahead
    ahead = next
  }
  if (ahead !== null) yield await ahead
}

function beginning(rows: readonly SourceRow[], before: EntityKey | null): EntityKey[] {
  const keys: EntityKey[] = []
  let last = before
  for (const { key } of rows) {
    if (key === last) continue
    keys.push(key)
    last = key
  }
  return keys
}

async function readStored({ store, plan }: FoldTarget, keys: readonly EntityKey[]): Promise<Map<EntityKey, Buffer>> {
  const stored = new Map<EntityKey, Buffer>()
  if (keys.length === 0) return stored
  const found = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  for (const [i, key] of keys.entries()) {
    const bytes = found[i]
    if (bytes) stored.set(key, bytes)
  }
  return stored
}
