import { ByteReader, ByteWriter } from '../kernel/binary.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/frontier.ts'
import { allBelow, includes, union } from '../kernel/frontier.ts'
import { beginStored, earlierFormat, headOf, readHeader, sealed } from '../kernel/stored-state.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import { checkpointEntity, noBytes } from './store.ts'
import type { OnlineKey, OnlineStore } from './store.ts'

/**
 * What a store itself records of a view: how far it is materialized, from which definition, and by which database
 * (through a run that only that database knows). It is stored beside the states, under a name that no entity can have.
 * So it disappears and returns together with them: it shows that a store was emptied, restored from an older copy or
 * filled by another database, which a record in the database could not.
 */
export interface Checkpoint {
  /** All rows of these transactions are in the view's states; below zero until the first run has finished. */
  readonly frontier: Frontier
  readonly fingerprint: string
  /** Whether runs add arriving rows to the states; if not, each run rebuilds them from all rows. */
  readonly incremental: boolean
  /** The run that began the view in this store. */
  readonly origin: { readonly id: string; readonly startedAt: Date }
  /**
   * That run is still removing older states, or was stopped while it did. Until it is done, no other run may rely on a
   * state.
   */
  readonly removing: boolean
  /**
   * It was set back, because acknowledged writes may be lost. Until a run has re-materialized those arrivals, the state
   * of an entity with rows may be absent. Default: false.
   */
  readonly setBack?: boolean
  /** Set where an earlier build wrote it: compare-and-set needs its head. */
  readonly format?: number
  /**
   * When the newest finished run began: what was committed by then is in the states. Epoch microseconds; absent where
   * it is unknown.
   */
  readonly begunAt?: number
}

/**
 * The checkpoint of a view that `origin` begins. No other run has its frontier, so that compare-and-set distinguishes
 * it from all others.
 */
export function firstCheckpoint(facts: Omit<Checkpoint, 'frontier'>): Checkpoint {
  return { ...facts, frontier: allBelow(-2 * Number(facts.origin.id) - (facts.removing ? 1 : 0)) }
}

export async function readCheckpoint(store: Pick<OnlineStore, 'read'>, view: DefinitionId): Promise<Checkpoint | null> {
  const [checkpoint] = await tryCheckpoints(store, [view])
  if (checkpoint instanceof LockstepError) throw checkpoint
  return checkpoint ?? null
}

/**
 * The checkpoints of several views, in one read, by index. One that cannot be read is returned as its error, so that it
 * does not affect the other views.
 */
export async function tryCheckpoints(
  store: Pick<OnlineStore, 'read'>,
  views: readonly DefinitionId[],
): Promise<(Checkpoint | LockstepError | null)[]> {
  const stored = await store.read(views.map(checkpointKey))
  return stored.map((bytes, i) => {
    try {
      return bytes === null ? null : decodeCheckpoint(bytes, views[i] as DefinitionId)
    } catch (error) {
      if (error instanceof LockstepError) return error
      throw error
    }
  })
}

/**
 * The stored bytes of `keys`, by index; null where `checkpoint` is no longer the view's, so that states may be missing.
 * A single server reads the checkpoint last: if it is unchanged, no state had been removed when the states were read.
 * The servers of a cluster have no such order, but each state has its own frontier.
 */
export async function readUnderCheckpoint(
  store: OnlineStore,
  view: DefinitionId,
  checkpoint: Checkpoint,
  keys: readonly OnlineKey[],
): Promise<(Buffer | null)[] | null> {
  const stored = await store.read([...keys, checkpointKey(view)])
  const bytes = stored.pop() ?? null
  return bytes !== null && sameOrigin(decodeCheckpoint(bytes, view), checkpoint) ? stored : null
}

function decodeCheckpoint(bytes: Buffer, view: DefinitionId): Checkpoint {
  const { frontier, bodyAt } = readHeader(bytes, view)
  const format = earlierFormat(bytes)
  const body = new ByteReader(bytes, bodyAt)
  const fingerprint = body.string()
  const flags = body.byte()
  const origin = { id: body.string(), startedAt: new Date(body.int()) }
  return {
    frontier,
    fingerprint,
    incremental: (flags & 1) !== 0,
    removing: (flags & 2) !== 0,
    ...((flags & 4) === 0 ? {} : { setBack: true }),
    ...(format === null ? {} : { format }),
    origin,
    // an earlier build wrote none
    ...(body.done ? {} : { begunAt: body.int() }),
  }
}

/** Replaces the checkpoint that was read, or none; false where it has changed since. */
export function writeCheckpoint(
  store: OnlineStore,
  view: DefinitionId,
  checkpoint: Checkpoint,
  present: Checkpoint | null,
): Promise<boolean> {
  return replaceCheckpoint(store, view, encodeCheckpoint(checkpoint), present)
}

/** False where it has changed since. */
export function removeCheckpoint(store: OnlineStore, view: DefinitionId, present: Checkpoint): Promise<boolean> {
  return replaceCheckpoint(store, view, noBytes, present)
}

async function replaceCheckpoint(store: OnlineStore, view: DefinitionId, bytes: Buffer, present: Checkpoint | null): Promise<boolean> {
  const [stored] = await store.write([{ ...checkpointKey(view), expected: present === null ? null : checkpointHead(view, present), bytes }])
  return stored === true
}

function checkpointHead(view: DefinitionId, present: Checkpoint): Buffer {
  const bytes = encodeCheckpoint(present)
  const head = headOf(bytes, readHeader(bytes, view))
  if (present.format !== undefined) head[0] = present.format
  return head
}

function encodeCheckpoint({ frontier, fingerprint, incremental, removing, setBack = false, origin, begunAt }: Checkpoint): Buffer {
  const writer = new ByteWriter()
  const headEnd = beginStored(writer, frontier)
  writer.float64(Number.NEGATIVE_INFINITY)
  writer.string(fingerprint)
  writer.byte((incremental ? 1 : 0) | (removing ? 2 : 0) | (setBack ? 4 : 0))
  writer.string(origin.id)
  writer.int(origin.startedAt.getTime())
  // a checkpoint that was set back has no such moment
  if (begunAt !== undefined && !setBack) writer.int(begunAt)
  return sealed(writer, headEnd)
}

/**
 * Adds the transactions that a run has folded to the checkpoint; the run began at the checkpoint `from`. A checkpoint
 * that was set back is complete again after that. Where the view was removed, restarted or set back meanwhile, the
 * checkpoint stays as it is: what this run wrote may be gone.
 *
 * @param begunAt when the run began, epoch microseconds
 * @returns where the checkpoint was and where it is now; null where it stayed
 */
export async function advanceCheckpoint(
  store: OnlineStore,
  view: DefinitionId,
  from: Checkpoint,
  folded: Frontier,
  begunAt: number,
): Promise<{ readonly was: Frontier; readonly is: Frontier } | null> {
  for (;;) {
    const present = await readCheckpoint(store, view)
    if (present === null || !sameOrigin(present, from) || !includes(present.frontier, from.frontier)) return null
    const [was, is] = [present.frontier, union(present.frontier, folded)]
    const newest = Math.max(begunAt, present.begunAt ?? begunAt)
    if (is === was && newest === present.begunAt && present.setBack !== true) return { was, is }
    if (await writeCheckpoint(store, view, { ...from, frontier: is, setBack: false, begunAt: newest }, present)) return { was, is }
  }
}

export function sameOrigin(a: Checkpoint, b: Checkpoint): boolean {
  return a.fingerprint === b.fingerprint && a.origin.id === b.origin.id && a.origin.startedAt.getTime() === b.origin.startedAt.getTime()
}

export function checkpointKey(view: DefinitionId): OnlineKey {
  return { view, entity: checkpointEntity, key: '' }
}
