import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import type { ExperimentRun } from './experiment.ts'
import { readLastRun, runOf } from './experiment.ts'

/** The decision on a run, as plain JSON. Times are RFC 3339. */
export interface ExperimentDecision {
  readonly variant: string
  /** The version that the variant served. */
  readonly version: number
  readonly by: string
  readonly at: string
  readonly reason: string
  /** The newest analysis then; null: there was none. */
  readonly evidence: DecisionEvidence | null
}

export interface DecisionEvidence {
  /** The id of the stored result. */
  readonly result: number
  readonly asOf: string
  /** Its primary metric. */
  readonly primary: unknown
  /** The health checks that failed. */
  readonly failing: readonly string[]
}

export interface DecisionChange {
  readonly experiment: string
  readonly model: string
  readonly decision: ExperimentDecision
  /** What the user should know, one sentence each. */
  readonly notes: readonly string[]
  /** The registry's revision afterwards. */
  readonly revision: number
}

/**
 * Records which variant of an experiment is taken, by whom, why, and on which analysis. A running experiment is
 * stopped.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION` if it was never started; `IN_USE` if it is decided; `INVALID_REQUEST`
 *   without a reason, or for a variant that it does not have
 */
export async function decideExperiment(
  db: Database,
  name: string,
  variant: string,
  by: Actor,
  { beforeCommit }: ChangeOptions = {},
): Promise<DecisionChange> {
  const reason = by.reason?.trim() ?? ''
  if (reason === '')
    throw new LockstepError('INVALID_REQUEST', `The decision on the experiment "${name}" has no reason; give one, for the record.`)
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const run = requireUndecided(await readLastRun(transaction, name), name)
    const version = versionOf(run, variant)
    const evidence = await newestEvidence(transaction, run.id)
    const decision = { variant, version, by: by.actor, at: new Date().toISOString(), reason, evidence }
    const row = await transaction
      .updateTable('lockstep.experiments')
      .set({
        state: 'decided',
        stopped_at: sql<Date>`coalesce(stopped_at, now())`,
        stopped_by: run.stoppedBy ?? by.actor,
        decision: JSON.stringify(decision),
      })
      .where('id', '=', String(run.id))
      .returningAll()
      .executeTakeFirstOrThrow()
    const states = { before: { state: run.state }, after: { state: runOf(row).state, ...decision } }
    await recordAudit({ kysely: transaction }, by, { action: 'experiment.decide', subject: name, ...states })
    const revision = await bumpRevision(transaction)
    beforeCommit?.()
    return { experiment: name, model: run.model, decision, notes: notesOf(run, evidence), revision }
  })
}

function requireUndecided(run: ExperimentRun | null, name: string): ExperimentRun {
  const details = { experiment: name }
  if (run === null)
    throw new LockstepError('UNKNOWN_DEFINITION', `The experiment "${name}" was never started, so there is nothing to decide.`, { details })
  if (run.state !== 'decided') return run
  throw new LockstepError('IN_USE', `The experiment "${name}" is decided already. Start it again for another decision.`, { details })
}

function versionOf({ name, versions }: ExperimentRun, variant: string): number {
  const version = versions[variant]
  if (version !== undefined) return version
  const names = Object.keys(versions)
  throw new LockstepError(
    'INVALID_REQUEST',
    `The experiment "${name}" has no variant "${variant}".${didYouMean(variant, names)} Decide for one of ${names.join(', ')}.`,
    { details: { experiment: name, variant } },
  )
}

async function newestEvidence(transaction: Kysely<LockstepTables>, run: number): Promise<DecisionEvidence | null> {
  const row = await transaction
    .selectFrom('lockstep.experiment_results')
    .select([
      'id',
      sql<string>`result->>'asOf'`.as('asOf'),
      sql<unknown>`result->'metrics'->0`.as('primary'),
      sql<readonly { check: string; state: string }[]>`result->'health'`.as('health'),
    ])
    .where('experiment_id', '=', String(run))
    .orderBy('as_of', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  const failing = row.health.filter(({ state }) => state === 'failing').map(({ check }) => check)
  return { result: Number(row.id), asOf: row.asOf, primary: row.primary, failing }
}

function notesOf(run: ExperimentRun, evidence: DecisionEvidence | null): string[] {
  return [
    ...(run.state === 'running' ? ['The experiment was stopped: its units are routed as all others.'] : []),
    ...(evidence === null ? ['It was never analyzed, so the decision has no evidence.'] : []),
    ...(evidence !== null && evidence.failing.length > 0
      ? [`Its health checks failed: ${evidence.failing.join(', ')}. The figures cannot be trusted.`]
      : []),
  ]
}
