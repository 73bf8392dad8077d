import { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { upperBound } from '../kernel/states/frontier.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { currentXmax } from '../online/checkpoint-owner.ts'
import { disownView, tryCheckpoints } from '../online/checkpoint.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { mismatch } from './runs/begin-view.ts'

/**
 * Watches for states that know more than the database: one that was restored from a backup gives the numbers of
 * transactions out again, and a state from before would take the rows of the new ones for those that it holds. What
 * another process writes during a snapshot is beyond that snapshot, too, but not beyond the next one. The first process
 * that notices it disowns the view in the store: soon the database has given out as many numbers, and nothing shows it.
 */
export interface RegressionGuard {
  readonly note: (frontier: Frontier) => void
  /**
   * To be asked outside of any snapshot.
   *
   * @param xmax of the snapshot whose rows were folded
   * @throws LockstepError `STORE_MISMATCH`
   */
  check(xmax: number): Promise<void>
  /**
   * @param end `upperBound` what the store holds
   * @throws LockstepError `STORE_MISMATCH` where the database, asked later, has not come so far
   */
  refuse(end: number, xmax: number): Promise<void>
}

export function createRegressionGuard(db: Pick<Database, 'query'>, store: OnlineStore, plan: ViewPlan): RegressionGuard {
  let furthest = 0

  async function refuse(end: number, xmax: number): Promise<void> {
    if (end <= xmax) return
    const [checkpoint = null] = await tryCheckpoints(store, [plan.id])
    if (checkpoint !== null && !(checkpoint instanceof LockstepError)) await disownView(store, plan.id, checkpoint)
    const how = `up to transaction ${end}, but this database has only reached ${xmax} (it was restored or moved)`
    throw mismatch(plan, how, { foreign: true })
  }

  return {
    note(frontier) {
      const end = upperBound(frontier)
      if (end > furthest) furthest = end
    },
    async check(xmax) {
      if (furthest > xmax && furthest > (await currentXmax(db))) await refuse(furthest, await nextTransaction(db))
    },
    refuse,
  }
}

/**
 * A transaction that comes after all that have begun to write, open ones too: an erasure stores states that have its
 * own in them before it ends. It takes a number for itself, so it is asked last.
 */
async function nextTransaction(db: Pick<Database, 'query'>): Promise<number> {
  const [row] = await db.query<{ xid: string }>('SELECT pg_current_xact_id()::text AS xid')
  return Number(row?.xid)
}
