import { ByteReader, ByteWriter } from '../kernel/values/binary.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { allBelow, includes, union } from '../kernel/states/frontier.ts'
import { beginStored, earlierFormat, stateHead, readHeader, sealed } from '../kernel/states/stored-state.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { checkpointEntity, noBytes } from './store.ts'
import type { OnlineKey, OnlineStore } from './store.ts'
import type { Witness } from './witness.ts'
import { unknownWitness } from './witness.ts'

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
  /**
   * Only a database with the history of these states knows it. Absent: an earlier build wrote it, or no run has
   * finished.
   */
  readonly witness?: Witness
}

/** In place of `begunAt` where it is not known and a witness follows. */
const unknownMoment = 0

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
  return stored.map((bytes, i) => (bytes === null ? null : decodeOrError(bytes, views[i] as DefinitionId)))
}

function decodeOrError(bytes: Buffer, view: DefinitionId): Checkpoint | LockstepError {
  try {
    return decodeCheckpoint(bytes, view)
  } catch (error) {
    if (error instanceof LockstepError) return error
    throw error
  }
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
    ...decodeRest(body, (flags & 8) !== 0),
  }
}

function decodeRest(body: ByteReader, hasWitness: boolean): Pick<Checkpoint, 'begunAt' | 'witness'> {
  // an earlier build wrote none
  if (body.done) return {}
  const begunAt = body.int()
  if (!hasWitness) return { begunAt }
  return { ...(begunAt === unknownMoment ? {} : { begunAt }), witness: { writer: body.string(), number: body.uint() } }
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

function replaceCheckpoint(
  store: Pick<OnlineStore, 'write'>,
  view: DefinitionId,
  bytes: Buffer,
  present: Checkpoint | null,
): Promise<boolean> {
  return replaceBytes(store, view, bytes, present === null ? null : checkpointHead(view, present))
}

/** @param expected what the stored bytes must begin with */
async function replaceBytes(
  store: Pick<OnlineStore, 'write'>,
  view: DefinitionId,
  bytes: Buffer,
  expected: Buffer | null,
): Promise<boolean> {
  const [stored] = await store.write([{ ...checkpointKey(view), expected, bytes }])
  return stored === true
}

function checkpointHead(view: DefinitionId, present: Checkpoint): Buffer {
  const bytes = encodeCheckpoint(present)
  const head = stateHead(bytes, readHeader(bytes, view))
  if (present.format !== undefined) head[0] = present.format
  return head
}

function encodeCheckpoint({ frontier, fingerprint, incremental, removing, setBack = false, origin, begunAt, witness }: Checkpoint): Buffer {
  const writer = new ByteWriter()
  const headEnd = beginStored(writer, frontier)
  writer.float64(Number.NEGATIVE_INFINITY)
  writer.string(fingerprint)
  writer.byte((incremental ? 1 : 0) | (removing ? 2 : 0) | (setBack ? 4 : 0) | (witness === undefined ? 0 : 8))
  writer.string(origin.id)
  writer.int(origin.startedAt.getTime())
  // a checkpoint that was set back has no such moment
  const moment = setBack ? undefined : begunAt
  if (moment !== undefined || witness !== undefined) writer.int(moment ?? unknownMoment)
  if (witness !== undefined) {
    writer.string(witness.writer)
    writer.uint(witness.number)
  }
  return sealed(writer, headEnd)
}

/** What `advanceCheckpoint` adds. */
export interface FoldedRun {
  /** The transactions that the run has folded. */
  readonly folded: Frontier
  /** When the run began, epoch microseconds. */
  readonly begunAt: number
  /**
   * Gives the witness that replaces the present one.
   *
   * @throws LockstepError `STORE_MISMATCH` where the database does not know the present one
   */
  readonly witness: (present: Checkpoint) => Promise<Witness>
}

/**
 * Adds the transactions that a run has folded to the checkpoint; the run began at the checkpoint `from`. A checkpoint
 * that was set back is complete again after that. Where the view was removed, restarted or set back meanwhile, the
 * checkpoint stays as it is: what this run wrote may be gone.
 *
 * @returns where the checkpoint was and where it is now; null where it stayed
 */
export async function advanceCheckpoint(
  store: OnlineStore,
  view: DefinitionId,
  from: Checkpoint,
  { folded, begunAt, witness }: FoldedRun,
): Promise<{ readonly was: Frontier; readonly is: Frontier } | null> {
  for (;;) {
    const [bytes] = await store.read([checkpointKey(view)])
    if (!bytes) return null
    const present = decodeCheckpoint(bytes, view)
    if (!sameOrigin(present, from) || !includes(present.frontier, from.frontier)) return null
    const [was, is] = [present.frontier, union(present.frontier, folded)]
    const next = {
      ...from,
      frontier: is,
      setBack: false,
      begunAt: Math.max(begunAt, present.begunAt ?? begunAt),
      witness: await witness(present),
    }
    // All bytes are compared: a newer witness must not be replaced by an older one.
    if (await replaceBytes(store, view, encodeCheckpoint(next), bytes)) return { was, is }
  }
}

/** Marks that the view's states have rows that the database has lost: from here on no witness of it fits. */
export async function disownView(store: Pick<OnlineStore, 'write'>, view: DefinitionId, present: Checkpoint): Promise<void> {
  await replaceCheckpoint(store, view, encodeCheckpoint({ ...present, witness: unknownWitness() }), present)
}

/** A checkpoint as it is stored. */
export interface StoredCheckpoint {
  readonly view: DefinitionId
  readonly checkpoint: Checkpoint
  readonly bytes: Buffer
}

/** The checkpoints of those views that have one that can be read. */
export async function storedCheckpoints(store: Pick<OnlineStore, 'read'>, views: readonly DefinitionId[]): Promise<StoredCheckpoint[]> {
  const stored = await store.read(views.map(checkpointKey))
  return stored.flatMap((bytes, i) => {
    const view = views[i] as DefinitionId
    const checkpoint = bytes === null ? null : decodeOrError(bytes, view)
    return bytes === null || checkpoint === null || checkpoint instanceof LockstepError ? [] : [{ view, checkpoint, bytes }]
  })
}

/** Replaces the witness alone; false where the checkpoint has changed since. */
export function writeWitness(
  store: Pick<OnlineStore, 'write'>,
  { view, checkpoint, bytes }: StoredCheckpoint,
  witness: Witness,
): Promise<boolean> {
  return replaceBytes(store, view, encodeCheckpoint({ ...checkpoint, witness }), bytes)
}

export function sameOrigin(a: Checkpoint, b: Checkpoint): boolean {
  return a.fingerprint === b.fingerprint && a.origin.id === b.origin.id && a.origin.startedAt.getTime() === b.origin.startedAt.getTime()
}

export function checkpointKey(view: DefinitionId): OnlineKey {
  return { view, entity: checkpointEntity, key: '' }
}
