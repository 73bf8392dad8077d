import { LockstepError } from '../kernel/errors.ts'
import type { ErrorCode } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { isTemporary } from '../runtime/is-temporary.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { CheckpointOwner, Foreign } from './checkpoint-owner.ts'
import { checkpointKey, disownView, tryCheckpoints } from './checkpoint.ts'
import type { OnlineStore } from './store.ts'

/** A store, and the database whose views it holds. */
export interface HoldingStore extends Pick<OnlineStore, 'read' | 'parts' | 'sameConnection'>, Partial<Pick<OnlineStore, 'write'>> {
  /** Absent: any database's. */
  readonly owner?: CheckpointOwner
}

/**
 * Requires that the store holds the views completely. Only then does an absent state mean that its entity was never
 * seen. In a store that was emptied, or is being filled, it means nothing.
 *
 * @returns those of the views whose checkpoints were set back after a failover: for these, too, an absent state means
 *   nothing, until the next run has ended
 * @throws LockstepError `NOT_READY` naming the view; `STATE_CORRUPT`, `STATE_VERSION` where a checkpoint cannot be read
 */
export async function requireComplete(store: HoldingStore, views: readonly ViewPlan[]): Promise<ReadonlySet<DefinitionId>> {
  const checkpoints = await readCheckpoints(store, views)
  // a read with `sure` checks the parts of its own keys
  const [lack] = await incompleteBy(store, views, checkpoints, { emptied: false })
  if (lack !== undefined) throw new LockstepError(lack.code, lack.problem, { details: { view: lack.view } })
  return new Set(views.flatMap(({ id }, i) => ((checkpoints[i] as Checkpoint).setBack === true ? [id] : [])))
}

export interface IncompleteView {
  readonly view: DefinitionId
  readonly code: ErrorCode
  /** The message, with what to do. */
  readonly problem: string
  /** Only the states of one server are gone; those of others are right. */
  readonly partial?: true
}

/**
 * The views that the store does not hold completely. A view whose checkpoint is on a server that does not answer, while
 * another server does, is among them with the code `REDIS_UNAVAILABLE`.
 *
 * @throws LockstepError `REDIS_UNAVAILABLE` if no checkpoint can be read
 */
export async function findIncompleteViews(store: HoldingStore, views: readonly ViewPlan[]): Promise<IncompleteView[]> {
  // a server that does not answer delays each by seconds
  const [checkpoints, lost] = await Promise.all([readEachCheckpoint(store, views), store.parts?.lost()])
  return await incompleteBy(store, views, checkpoints, { emptied: lost === true, again: true })
}

type FoundCheckpoint = Checkpoint | LockstepError | null

async function readCheckpoints(store: Pick<OnlineStore, 'read'>, views: readonly ViewPlan[]): Promise<FoundCheckpoint[]> {
  return await tryCheckpoints(
    store,
    views.map(({ id }) => id),
  )
}

async function readEachCheckpoint(store: Pick<OnlineStore, 'read'>, views: readonly ViewPlan[]): Promise<FoundCheckpoint[]> {
  // sent together
  const reads = await Promise.allSettled(views.map(async (view) => (await readCheckpoints(store, [view]))[0] ?? null))
  return reads.map((read) => {
    if (read.status === 'fulfilled') return read.value
    if (isUnavailable(read.reason) && reads.some(({ status }) => status === 'fulfilled')) return read.reason
    throw read.reason
  })
}

function isUnavailable(error: unknown): error is LockstepError {
  return error instanceof LockstepError && error.code === 'REDIS_UNAVAILABLE'
}

async function incompleteBy(
  store: HoldingStore,
  views: readonly ViewPlan[],
  checkpoints: readonly FoundCheckpoint[],
  { emptied, again = false }: { readonly emptied: boolean; readonly again?: boolean },
): Promise<IncompleteView[]> {
  const foreign = await foreignAmong(store, views, checkpoints, again)
  const instead = await valuesInstead(
    store,
    views.flatMap(({ id }, i) => ((checkpoints[i] ?? null) === null ? [id] : [])),
  )
  return views.flatMap(({ id, fingerprint }, i): IncompleteView[] => {
    const checkpoint = checkpoints[i] ?? instead.get(id) ?? null
    if (checkpoint instanceof LockstepError) return [{ view: id, code: checkpoint.code, problem: checkpoint.message }]
    const problem = foreign.get(id) ?? problemOf(id, fingerprint, checkpoint)
    if (problem !== null) return [{ view: id, code: 'NOT_READY', problem }]
    return emptied ? [{ view: id, code: 'NOT_READY', problem: emptiedIn(id), partial: true }] : []
  })
}

/**
 * Why views do not belong to the store's owner, by view. Where that would pass, it is written to the store, if `again`.
 */
async function foreignAmong(
  { owner, write }: HoldingStore,
  views: readonly ViewPlan[],
  checkpoints: readonly FoundCheckpoint[],
  again: boolean,
): Promise<ReadonlyMap<DefinitionId, string>> {
  const marked = views.flatMap(({ id }, i) => {
    const checkpoint = checkpoints[i] ?? null
    return checkpoint === null || checkpoint instanceof LockstepError ? [] : [{ view: id, checkpoint }]
  })
  if (owner === undefined || marked.length === 0) return noneForeign
  try {
    const foreign = await owner.foreign(marked, again)
    const why = new Map<DefinitionId, string>()
    for (const [i, { view, checkpoint }] of marked.entries()) {
      const found: Foreign | null = foreign[i] ?? null
      if (found === null) continue
      why.set(view, found.problem)
      if (again && found.passes && write !== undefined) await disownView({ write }, view, checkpoint)
    }
    return why
  } catch (error) {
    if (!isTemporary(error)) throw error
    return new Map(marked.map(({ view }) => [view, unknownOwner(view)]))
  }
}

const noneForeign: ReadonlyMap<DefinitionId, string> = new Map()

/**
 * The errors of views under whose key the value of another program is stored in place of an absent checkpoint. An
 * ordinary read takes it for absent.
 */
async function valuesInstead(
  store: Pick<OnlineStore, 'read'>,
  views: readonly DefinitionId[],
): Promise<ReadonlyMap<DefinitionId, LockstepError>> {
  if (views.length === 0) return new Map()
  try {
    await store.read(views.map(checkpointKey), { sure: true })
    return new Map()
  } catch (error) {
    // an emptied server is reported separately
    if (!(error instanceof LockstepError) || (error.code !== 'STATE_CORRUPT' && error.code !== 'NOT_READY')) throw error
    if (views.length === 1) return new Map(error.code === 'STATE_CORRUPT' ? views.map((view) => [view, error]) : [])
    const alone = await Promise.all(views.map((view) => valuesInstead(store, [view])))
    return new Map(alone.flatMap((errors) => [...errors]))
  }
}

function unknownOwner(id: DefinitionId): string {
  return `The view "${id}" in this online store was started while the database was unreachable, so Lockstep does not know whether it belongs to this database. Wait until the database is back.`
}

function emptiedIn(id: DefinitionId): string {
  return `The view "${id}" has lost states: a server of the Redis Cluster was emptied. Wait until a worker has filled it again, or run "lockstep materialize ${id}".`
}

/** Why the store does not hold the view completely; null where it does. */
function problemOf(id: DefinitionId, fingerprint: string, checkpoint: Checkpoint | null): string | null {
  if (checkpoint?.removing === true)
    return `The view "${id}" is being rebuilt in this online store. Wait for it. If the rebuild was stopped, a worker continues it, or run "lockstep materialize ${id}".`
  // Its first run has begun and not ended.
  if (checkpoint === null || checkpoint.frontier.below <= 0)
    return `The view "${id}" is not materialized in this online store: run "lockstep materialize ${id}", or wait for a worker.`
  if (checkpoint.fingerprint === fingerprint) return null
  return `The view "${id}" in this online store has another definition: run "lockstep materialize ${id} --rebuild".`
}
