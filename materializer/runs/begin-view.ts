import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { firstCheckpoint, checkpointKey, readCheckpoint, sameOrigin, writeCheckpoint } from '../../online/checkpoint.ts'
import { knowsRun, lostRows, ownStore } from '../../online/checkpoint-owner.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Witness } from '../../online/witness.ts'
import { knownWitnesses, nextWitness } from '../../online/witness.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Run } from './runs.ts'
import { readOtherTables } from './runs.ts'
import { underRebuildLock } from './view-lock.ts'

/**
 * The checkpoint to start from: the store's own, or a first one that names this run. If a rebuild was stopped while it
 * removed states, it is finished first.
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
    if ((await knownWitnesses(db, [present.witness])).includes(false)) throw rowsLost(plan)
    // The present rows got their arrival when the columns were added, and would be counted twice.
    if (incremental && !present.incremental) throw mismatch(plan, 'from before its table had the columns "_row" and "_xid"')
    if (incremental && (await readOtherTables(db, present.origin, run)))
      throw mismatch(plan, 'from a table that was dropped and recreated since')
    return { ...present, incremental }
  }
}

/**
 * Removes the view's states, from all writers, and restarts the view. The checkpoint shows it meanwhile: runs that
 * began before find it changed, and no run begins before all states are removed. If this run is stopped, the next run
 * (also of a worker) does it again as its own. A lock shows whether the run is alive.
 *
 *     removing, of this run -> remove the states -> begun, of this run
 *
 * @throws LockstepError `STORE_MISMATCH` where another run has begun to rebuild it meanwhile
 */
export async function beginRebuild(db: Database, store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Checkpoint> {
  const restart = (): Promise<Checkpoint> => removeAndBegin(store, plan, run, incremental)
  // another run that does the same finds that its checkpoint is gone
  return (await underRebuildLock(db, await store.identity(), plan.id, restart)) ?? (await restart())
}

/**
 * @returns null where there is no longer anything to take over
 * @throws LockstepError `STORE_MISMATCH` where the run that began it is alive, or belongs to another database
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
  while (!(await writeCheckpoint(store, plan.id, removing, await checkpointToReplace(store, plan))));
  faultPoint('rebuild: begun')
  await store.removeView(plan.id, checkpointKey(plan.id))
  faultPoint('rebuild: removed')
  const begun = firstCheckpoint({ ...facts, removing: false })
  for (;;) {
    const present = await readCheckpoint(store, plan.id)
    // The other run finishes the removal, then begins. If it has begun already, it may have lost states to
    // this run: then it is replaced.
    if (present?.removing === true && !sameOrigin(present, removing)) throw rebuilding(plan)
    if (await writeCheckpoint(store, plan.id, begun, present)) return begun
  }
}

async function checkpointToReplace(store: OnlineStore, plan: ViewPlan): Promise<Checkpoint | null> {
  try {
    return await readCheckpoint(store, plan.id)
  } catch (error) {
    if (!(error instanceof LockstepError) || (error.code !== 'STATE_CORRUPT' && error.code !== 'STATE_VERSION')) throw error
    // A checkpoint that cannot be read cannot be replaced: it is removed first.
    await store.removeView(plan.id)
    return null
  }
}

/**
 * For `advanceCheckpoint`.
 *
 * @throws LockstepError `STORE_MISMATCH` where the database was set back under the store
 */
export function witnessOf(db: Database, store: OnlineStore, plan: ViewPlan): (present: Checkpoint) => Promise<Witness> {
  return async (present) => {
    const { witness, known } = await nextWitness(db, await store.identity(), [present.witness])
    if (known.includes(false)) throw rowsLost(plan)
    return witness
  }
}

function rowsLost({ id }: ViewPlan): LockstepError {
  return new LockstepError('STORE_MISMATCH', lostRows(id))
}

export function mismatch(plan: ViewPlan, how: string, { foreign = false }: { readonly foreign?: boolean } = {}): LockstepError {
  const replace = `"lockstep materialize ${plan.id} --rebuild" to replace it`
  const advice = foreign ? `${ownStore}, or run ${replace}` : `Run ${replace}`
  return new LockstepError('STORE_MISMATCH', `The online store holds "${plan.id}" ${how}. ${advice}.`)
}

/**
 * The view was removed or restarted during a run. Each state that the run wrote is complete, but states of others may
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
