import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Slice } from '../../statistics/assign.ts'
import { reslice } from '../../statistics/assign.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import type { ExperimentRun } from './experiment.ts'
import { runOf } from './experiment.ts'

/** A time in which the shares of an experiment's variants did not change. */
export interface AllocationPeriod {
  /** Epoch microseconds. */
  readonly from: number
  /** By variant, as the experiment lists them. */
  readonly shares: readonly number[]
}

/** Oldest first. The first one has the declared weights. */
export async function readAllocations(handle: Kysely<LockstepTables>, run: ExperimentRun): Promise<readonly AllocationPeriod[]> {
  const first = { from: run.startedAt.getTime() * 1000, shares: run.spec.variants.map(({ weight }) => weight) }
  const rows = await handle
    .selectFrom('lockstep.experiment_allocations')
    .select(['shares', sql<number>`(extract(epoch from at) * 1000000)::float8`.as('from')])
    .where('experiment_id', '=', String(run.id))
    .orderBy('at')
    .execute()
  return [first, ...rows.map(({ from, shares }) => ({ from, shares: shares as readonly number[] }))]
}

/** The slices of new shares, which move as few places as possible. */
export function slicesOf(before: readonly Slice[], variants: ExperimentRun['spec']['variants'], shares: readonly number[]): Slice[] {
  return reslice(before, Object.fromEntries(variants.map(({ name }, i) => [name, shares[i] as number])))
}

/** Who changes shares as results come in. */
const allocator = 'experiment allocation'

/**
 * Gives the variants of a running experiment new shares, and stores them with their evidence, in one transaction. It
 * does nothing if the experiment does not run, or its shares have changed since the evidence was gathered: of two
 * workers one acts.
 *
 * @param seen how many periods there were
 * @returns whether it was done
 */
export async function reallocate(
  db: Database,
  { id, name, spec }: ExperimentRun,
  seen: number,
  shares: readonly number[],
  evidence: JsonValue,
  { beforeCommit }: ChangeOptions = {},
): Promise<boolean> {
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const row = await transaction
      .selectFrom('lockstep.experiments')
      .selectAll()
      .where('id', '=', String(id))
      .where('state', '=', 'running')
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return false
    const before = runOf(row)
    if ((await readAllocations(transaction, before)).length !== seen) return false
    const slices = slicesOf(before.slices, spec.variants, shares)
    await transaction
      .insertInto('lockstep.experiment_allocations')
      .values({ experiment_id: String(id), shares: JSON.stringify(shares), evidence: JSON.stringify(evidence) })
      .execute()
    await transaction
      .updateTable('lockstep.experiments')
      .set({ slices: JSON.stringify(slices) })
      .where('id', '=', String(id))
      .execute()
    const states = { before: { id, slices: before.slices }, after: { id, slices } }
    await recordAudit({ kysely: transaction }, { actor: allocator }, { action: 'experiment.allocate', subject: name, ...states })
    await bumpRevision(transaction)
    beforeCommit?.()
    return true
  })
}
