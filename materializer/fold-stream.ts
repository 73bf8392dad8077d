import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { covers, includes, union } from '../kernel/states/frontier.ts'
import { readOverCap, withinCap, worthMaking } from '../kernel/states/over-cap.ts'
import { encodeSetAside, isOfOneEntity, readSetAside, setAsideError } from '../kernel/states/set-aside.ts'
import { namingKey } from '../kernel/values/show-key.ts'
import type { EntityState, FoldRow } from '../kernel/states/state.ts'
import type { StoredHeader } from '../kernel/states/stored-state.ts'
import { encodeStored, expectedBytes, soundHeader, underFrontier } from '../kernel/states/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/rows/row-decoder.ts'
import type { StateReader } from './state-reader.ts'
import type { StateWriter } from './state-writer.ts'
import { prefetchStates } from './prefetch-states.ts'

/** A run leaves at most this number of ranges in the frontier of a state, unless its own snapshot has more. */
export const fewRanges = 16

export interface FoldTarget {
  readonly plan: ViewPlan
  readonly read: StateReader
  readonly writer: StateWriter
  /**
   * The stream holds exactly the rows that these transactions wrote to its entities. Where it is everything below a
   * transaction, it holds each entity from its first row on.
   */
  readonly rows: Frontier
  /**
   * An entity whose frontier would get more ranges is refused: its missing rows must be read completely. Infinity where
   * the stream holds them completely.
   */
  readonly maxRanges: number
  /** Rows that become visible later wait in their state. Epoch microseconds. */
  readonly moment: number
  /**
   * - `resume`: the stored state is decoded and takes the rows that its frontier does not cover
   * - `renew`: the stream holds all rows of each entity, and its state starts empty
   */
  readonly start: 'resume' | 'renew'
  /** Called for each row that is added to a state. The rows of a first state may be history. */
  readonly onFolded?: (row: SourceRow) => void
  /** Called with the frontier of each stored state. */
  readonly onStored?: (frontier: Frontier) => void
  /** Called for a state that is not rebuilt, because it includes rows that the stream lacks. */
  readonly onNewer?: (key: EntityKey) => void
  /** Called for an entity that stays set aside, because the stream does not hold all its rows. */
  readonly onLeft?: (key: EntityKey) => void
}

/**
 * Folds an ordered stream into the states of the store, entity by entity. At most two batches of rows, a bounded part
 * of the stored bytes and one state are held at a time. An entity to which no row is added is left alone, unless its
 * frontier has become long and gets shorter. A state claims exactly the rows that were folded into it, whatever the
 * checkpoint says. So a state that the store has set back still shows what it lacks.
 *
 *     stored frontier f        rows folded              written
 *     none, from first rows    all                      if absent still, with the frontier `rows`
 *     none, else               none: refused, because earlier rows are missing
 *     f                        those that f lacks       if f still, with the frontier f and `rows`; refused where that
 *                                                       would have too many ranges
 *     too large for the cap    as none; left alone for an hour unless the cap was raised
 *     set aside                as none; left alone unless the stream holds all of its rows
 *     f, rebuilt               all, if f is in `rows`   if f still, with the frontier `rows`
 *
 * An entity with a row that cannot be folded is set aside: the reason is stored in place of its state, and other
 * entities go on.
 */
export async function foldStream(target: FoldTarget, stream: AsyncIterable<readonly SourceRow[]>): Promise<void> {
  const { plan, moment, writer } = target
  let entity: OpenEntity | null = null
  for await (const { rows, stored } of prefetchStates(target.read, stream)) {
    for (const row of rows) {
      if (entity === null || row.key !== entity.key) {
        if (entity !== null) await close(target, entity)
        entity = open(target, row.key, stored.get(row.key) ?? null)
      }
      if (entity.done || (entity.covered !== null && covers(entity.covered, row.xid))) continue
      try {
        const folded = foldRow(plan, row)
        if (folded === null) continue
        if (entity.frontier !== null) {
          entity.state ??= startOf(target, entity)
          entity.state.add(folded, moment)
          entity.rows++
          target.onFolded?.(row)
          continue
        }
      } catch (error) {
        if (!isOfOneEntity(error)) throw error
        entity.failure = error
      }
      if (entity.frontier === null) writer.refuse(entity.key)
      entity.done = true
    }
  }
  if (entity !== null) await close(target, entity)
}

interface OpenEntity {
  readonly key: EntityKey
  /** `header`: null where the state is damaged, and is rebuilt from all its rows. */
  readonly stored: { readonly bytes: Buffer; readonly header: StoredHeader | null } | null
  /** Rows of these transactions are skipped. */
  readonly covered: Frontier | null
  /** The frontier of the state with the rows of the stream; null where it cannot take them. */
  readonly frontier: Frontier | null
  /** Its further rows are skipped. */
  done: boolean
  state: EntityState | null
  rows: number
  /** Why it is set aside. */
  failure: LockstepError | null
}

function foldRow({ key, fold }: ViewPlan, row: SourceRow): FoldRow | null {
  if (row.failure !== undefined) throw row.failure
  try {
    return fold(row.eventTime, row.knownTime, row.tie, row.values)
  } catch (error) {
    throw namingKey(key, row.key, error)
  }
}

function open(target: FoldTarget, key: EntityKey, bytes: Buffer | null): OpenEntity {
  const { plan, rows, start, moment } = target
  const stored = bytes === null ? null : { bytes, header: soundHeader(bytes, plan.id) }
  const fresh = { key, stored, state: null, rows: 0, failure: null }
  if (stored === null || stored.header === null)
    return { ...fresh, covered: null, frontier: start === 'renew' || rows.below > 0 ? rows : null, done: false }
  const { frontier } = stored.header
  target.onStored?.(frontier)
  const over = readOverCap(stored.bytes, stored.header)
  const isAside = readSetAside(stored.bytes, stored.header) !== null
  if (start === 'resume' && (over !== null || isAside)) {
    // It is rebuilt from all its rows or not at all. A state with rows that the stream lacks is left to its writer.
    const isComplete = rows.below > 0
    const done = isComplete ? !includes(rows, frontier) : over === null || !worthMaking(plan, over, moment)
    if (isAside && !isComplete) target.onLeft?.(key)
    return { ...fresh, covered: isComplete ? null : frontier, frontier: isComplete ? rows : null, done }
  }
  if (start === 'resume') return { ...fresh, covered: frontier, frontier: joined(target, frontier), done: false }
  // A state with the same frontier is replaced: it has the same rows, but may be as of another moment.
  const newer = !includes(rows, frontier)
  if (newer) target.onNewer?.(key)
  return { ...fresh, covered: null, frontier: rows, done: newer }
}

function joined({ rows, maxRanges }: FoldTarget, present: Frontier): Frontier | null {
  const both = union(present, rows)
  return both === present || both.beyond.length <= maxRanges ? both : null
}

function startOf({ plan, start }: FoldTarget, { stored }: OpenEntity): EntityState {
  if (start === 'renew' || stored === null || stored.header === null || isInstead(stored.bytes, stored.header)) return plan.newState()
  return plan.decodeState(stored.bytes.subarray(stored.header.bodyAt), stored.header.highWater)
}

/** Whether a note (over cap, set aside) is stored in place of a state. */
function isInstead(bytes: Buffer, header: StoredHeader): boolean {
  return readOverCap(bytes, header) !== null || readSetAside(bytes, header) !== null
}

async function close({ plan, writer, moment, start }: FoldTarget, entity: OpenEntity): Promise<void> {
  const { key, stored, frontier, done, state, rows, failure } = entity
  if (frontier === null) {
    if (stored !== null && !done && (stored.header === null || !isInstead(stored.bytes, stored.header))) writer.refuse(key)
    return
  }
  if (failure !== null) {
    const bytes = encodeSetAside(failure, frontier, moment)
    const expected = stored === null ? null : expectedBytes(stored.bytes, stored.header)
    return await writer.add({ key, bytes, rows: 0, expected, aside: setAsideError(plan, key, failure) })
  }
  if (state !== null) {
    state.advance(moment)
    const { stored: bytes, over } = withinCap(plan, encodeStored(state, frontier), moment)
    const written = over === null ? { key, bytes, rows } : { key, bytes, rows, over }
    if (stored === null) await writer.add({ ...written, expected: null })
    else if (!bytes.equals(stored.bytes)) await writer.add({ ...written, expected: expectedBytes(stored.bytes, stored.header) })
  } else if (stored !== null && stored.header !== null && start === 'resume') {
    const ranges = stored.header.frontier.beyond.length
    if (ranges <= fewRanges || frontier.beyond.length >= ranges) return
    await writer.add({
      key,
      expected: expectedBytes(stored.bytes, stored.header),
      bytes: underFrontier(stored.bytes, stored.header, frontier),
      rows,
    })
  }
}
