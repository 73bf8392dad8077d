import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
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
  /** The guardrails of the variant; none for the control. */
  readonly guardrails: readonly DecidedGuardrail[]
  /** The units that were exposed after it. */
  readonly exposedSince: number
  /** Whether more has become known for more than two hours after it. */
  readonly isOld: boolean
}

export interface DecidedGuardrail {
  readonly metric: string
  readonly verdict: 'passes' | 'fails' | 'undecided'
}

/** Workers analyze once an hour, so an older analysis than this lacks one. */
const maxAgeMs = 2 * 3_600_000

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
    const evidence = await newestEvidence(transaction, run, variant)
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
    return { experiment: name, model: run.model, decision, notes: notesOf(run, variant, evidence), revision }
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

async function newestEvidence(transaction: Kysely<LockstepTables>, run: ExperimentRun, variant: string): Promise<ReadEvidence | null> {
  const row = await transaction
    .selectFrom('lockstep.experiment_results')
    .select([
      'id',
      'as_of',
      sql<string>`result->>'asOf'`.as('asOf'),
      sql<readonly StoredMetric[]>`result->'metrics'`.as('metrics'),
      sql<readonly { check: string; state: string }[]>`result->'health'`.as('health'),
    ])
    .where('experiment_id', '=', String(run.id))
    .orderBy('as_of', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return null
  const { last, since } = await transaction
    .selectFrom('lockstep.exposures')
    .select([
      sql<Date | null>`max(exposed_at)`.as('last'),
      sql<number>`(count(distinct unit) filter (where exposed_at > ${row.as_of}))::float8`.as('since'),
    ])
    .where('experiment_id', '=', String(run.id))
    .executeTakeFirstOrThrow()
  const withinMs = Math.max(...run.spec.metrics.map(({ withinMicros }) => withinMicros)) / 1000
  const knownUntil = last === null ? 0 : Math.min(Date.now(), last.getTime() + withinMs)
  const guardrails = row.metrics
    .filter(({ role }) => role === 'guardrail')
    .flatMap(({ metric, comparisons }) => {
      const comparison = comparisons.find((each) => each.variant === variant)
      return comparison === undefined ? [] : [{ metric, verdict: comparison.guardrail?.verdict ?? 'undecided' }]
    })
  return {
    result: Number(row.id),
    asOf: row.asOf,
    primary: row.metrics[0],
    failing: row.health.filter(({ state }) => state === 'failing').map(({ check }) => check),
    guardrails,
    exposedSince: since,
    isOld: knownUntil - row.as_of.getTime() > maxAgeMs,
  }
}

type ReadEvidence = DecisionEvidence & { readonly primary: StoredMetric | undefined }

/** What is read here of a metric in a stored result. */
interface StoredMetric {
  readonly metric: string
  readonly role: string
  readonly better: 'higher' | 'lower'
  readonly comparisons: readonly {
    readonly variant: string
    readonly control: string
    readonly significant: boolean
    readonly difference: { readonly value: number } | null
    readonly guardrail: { readonly verdict: DecidedGuardrail['verdict'] } | null
  }[]
}

/** What is not known of the variant by the primary metric; none for the control, which is compared with nothing. */
function primaryNotes(primary: StoredMetric | undefined, variant: string): string[] {
  const compared = primary?.comparisons.find((each) => each.variant === variant)
  if (primary === undefined || compared === undefined) return []
  const { control, significant, difference } = compared
  const isBetter = (difference?.value ?? 0) > 0 === (primary.better === 'higher')
  if (significant && isBetter) return []
  const than = `better than "${control}" in "${primary.metric}"`
  return [significant ? `Warning: "${variant}" is not ${than}, but worse.` : `Warning: it is not shown that "${variant}" is ${than}.`]
}

function notesOf({ name, state }: ExperimentRun, variant: string, evidence: ReadEvidence | null): string[] {
  const stopped = state === 'running' ? ['The experiment was stopped: its units are routed as all others.'] : []
  if (evidence === null) return [...stopped, 'It was never analyzed, so the decision has no evidence.']
  const { asOf, primary, failing, guardrails, exposedSince, isOld } = evidence
  const of = (verdict: DecidedGuardrail['verdict']) => guardrails.flatMap((each) => (each.verdict === verdict ? [each.metric] : []))
  const [failed, undecided] = [of('fails'), of('undecided')]
  return [
    ...stopped,
    ...primaryNotes(primary, variant),
    ...(failing.length > 0 ? [`Warning: health checks failed: ${failing.join(', ')}. The figures cannot be trusted.`] : []),
    ...(failed.length > 0
      ? [`Warning: guardrails fail: ${quotedNames(failed)}. "${variant}" is worse there by more than the margin.`]
      : []),
    ...(undecided.length > 0
      ? [`Warning: guardrails are undecided: ${quotedNames(undecided)}. "${variant}" may be worse there by more than the margin.`]
      : []),
    ...(isOld
      ? [
          `Warning: the newest analysis is of ${asOf}, and ${exposedSince} ${exposedSince === 1 ? 'unit was' : 'units were'} exposed after it. "lockstep experiment show ${name} --analyze" analyzes what has become known since.`,
        ]
      : []),
  ]
}
