import { LockstepError } from '../kernel/errors.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Checkpoint } from '../online/checkpoint.ts'
import { firstCheckpoint, checkpointKey, readCheckpoint, sameOrigin, writeCheckpoint } from '../online/checkpoint.ts'
import { knowsRun, ownStore } from '../online/checkpoint-owner.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/database.ts'
import { faultPoint } from '../runtime/fault-point.ts'
import type { Run } from './runs.ts'
import { readOtherTables } from './runs.ts'
import { underRebuildLock } from './view-lock.ts'

/**
 * The checkpoint to start from: the store's own, or a first one that names this run. A rebuild that was stopped while
 * it removed the states is done to the end first.
 *
 * @throws LockstepError `STORE_MISMATCH`
 */
export async function beginView(db: Database, store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Checkpoint> {
  for (;;) {
    const present = await readCheckpoint(store, plan.id)
    if (present === null) {
      const first = firstCheckpoint({ fingerprint: plan.fingerprint, incremental, origin: run, removing: false })
      if (await writeCheckpoint(store, plan.id, first, null)) return first
      continue // another run was first
    }
    if (present.removing) {
      const begun = await takeOver(db, store, plan, run, incremental)
      if (begun === null) continue // it was done meanwhile
      return begun
    }
    if (present.fingerprint !== plan.fingerprint) throw mismatch(plan, 'from another definition', { foreign: true })
    if (!(await knowsRun(db, present.origin))) throw mismatch(plan, 'from another database', { foreign: true })
    // The rows that were there got their arrival when the columns were added, and would be counted once more.
    if (incremental && !present.incremental) throw mismatch(plan, 'from before its table had the columns "_row" and "_xid"')
    if (incremental && (await readOtherTables(db, present.origin, run)))
      throw mismatch(plan, 'from a table that was dropped and recreated since')
    return { ...present, incremental }
  }
}

/**
 * Removes what the store holds of the view, whoever wrote it, and begins it anew. The checkpoint says so all the while:
 * runs that have begun before find it changed, and none begins before all is gone: where this one is stopped, the next
 * one that comes, a worker's too, does this again as its own. Its lock tells whether it lives.
 *
 *     removing, of this run -> remove the states -> begun, of this run
 *
 * @throws LockstepError `STORE_MISMATCH` where another run has begun to rebuild it meanwhile
 */
export async function beginAnew(db: Database, store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Checkpoint> {
  const anew = (): Promise<Checkpoint> => removeAndBegin(store, plan, run, incremental)
  // another one that is at it finds that its checkpoint is gone
  return (await underRebuildLock(db, await store.identity(), plan.id, anew)) ?? (await anew())
}

/**
 * @returns null where nothing is to be taken over any more
 * @throws LockstepError `STORE_MISMATCH` where whoever began it is at it, or is another database's
 */
async function takeOver(db: Database, store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Checkpoint | null> {
  const done = await underRebuildLock(db, await store.identity(), plan.id, async () => {
    const present = await readCheckpoint(store, plan.id)
    if (present?.removing !== true) return { begun: null }
    if (!(await knowsRun(db, present.origin))) throw mismatch(plan, 'from another database', { foreign: true })
    return { begun: await removeAndBegin(store, plan, run, incremental) }
  })
  if (done === null) throw rebuilding(plan)
  return done.begun
}

async function removeAndBegin(store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Checkpoint> {
  const facts = { fingerprint: plan.fingerprint, incremental, origin: run }
  const removing = firstCheckpoint({ ...facts, removing: true })
  while (!(await writeCheckpoint(store, plan.id, removing, await markerToReplace(store, plan))));
  faultPoint('rebuild: marked')
  await store.removeView(plan.id, checkpointKey(plan.id))
  faultPoint('rebuild: removed')
  const begun = firstCheckpoint({ ...facts, removing: false })
  for (;;) {
    const present = await readCheckpoint(store, plan.id)
    // The other one removes on, and begins when all of it is done. One that has begun already may have lost states to
    // this one: it is replaced.
    if (present?.removing === true && !sameOrigin(present, removing)) throw rebuilding(plan)
    if (await writeCheckpoint(store, plan.id, begun, present)) return begun
  }
}

async function markerToReplace(store: OnlineStore, plan: ViewPlan): Promise<Checkpoint | null> {
  try {
    return await readCheckpoint(store, plan.id)
  } catch (error) {
    if (!(error instanceof LockstepError) || (error.code !== 'STATE_CORRUPT' && error.code !== 'STATE_VERSION')) throw error
    // What cannot be read cannot be replaced: it goes first.
    await store.removeView(plan.id)
    return null
  }
}

export function mismatch(plan: ViewPlan, how: string, { foreign = false }: { readonly foreign?: boolean } = {}): LockstepError {
  const replace = `"lockstep materialize ${plan.id} --rebuild" to replace it`
  const advice = foreign ? `${ownStore}, or run ${replace}` : `Run ${replace}`
  return new LockstepError('STORE_MISMATCH', `The online store holds "${plan.id}" ${how}. ${advice}.`)
}

/**
 * The view was removed or begun anew while a run was at work. What it wrote is whole, by state; what others wrote may
 * be gone.
 */
export function lost(plan: ViewPlan): LockstepError {
  return new LockstepError(
    'STORE_MISMATCH',
    `The online store lost "${plan.id}" while it was materialized: it was emptied, or another run rebuilt the view. Materialize it again.`,
  )
}

function rebuilding(plan: ViewPlan): LockstepError {
  return new LockstepError(
    'STORE_MISMATCH',
    `The view "${plan.id}" is being rebuilt in the online store by another run. Wait for it, or run "lockstep materialize ${plan.id} --rebuild" again.`,
  )
}
