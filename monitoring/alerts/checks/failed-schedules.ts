import { sql } from 'kysely'
import { sourceSyncKind } from '../../../materializer/sources/sync-source.ts'
import type { OnlineStore } from '../../../online/store.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { scheduledBatchKind } from '../../../registry/scheduled-batch-spec.ts'
import type { Punctuality } from '../../../registry/trainings/late-trainings.ts'
import { readPunctuality } from '../../../registry/trainings/late-trainings.ts'
import { trainingKind } from '../../../registry/trainings/training-spec.ts'
import { lateText } from '../../../registry/trainings/training-text.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { mergeRollupsKey, mergeRollupsKind } from '../../rollups/merge-rollups.ts'
import type { CheckResult } from '../check-kind.ts'

/** The kind and key of the jobs that a schedule begins. */
export interface Schedule {
  readonly kind: string
  readonly key: string
}

interface Outcome extends Schedule {
  readonly job: string
  readonly job_kind: string
  readonly subject: string
  readonly state: 'done' | 'failed'
  readonly error: { readonly code: string; readonly message: string } | null
}

/**
 * The outcome of each declared schedule at its newest ended instant, and of the merges of rollups. A late training is a
 * breach, too. Views have the check `freshness`.
 *
 * @param store null: it does not answer, and the syncs for all stores count
 * @param now epoch microseconds
 */
export async function failedSchedules(
  db: Database,
  store: Pick<OnlineStore, 'identity'> | null,
  catalog: Catalog,
  now: number,
): Promise<CheckResult[]> {
  const { batches, files, trainings } = catalog
  const syncs = [...files].flatMap(([source, { schedule }]) => (schedule === null ? [] : [source]))
  const scope = syncs.length === 0 || store === null ? null : await store.identity().catch(() => null)
  const found = [
    await newestOutcomes(db, { kind: scheduledBatchKind, scope: '', keys: [...batches.keys()] }),
    await newestOutcomes(db, { kind: trainingKind, scope: null, keys: [...trainings.keys()] }),
    await newestOutcomes(db, { kind: sourceSyncKind, scope, keys: syncs }),
    await newestOutcomes(db, { kind: mergeRollupsKind, scope: '', keys: [mergeRollupsKey] }),
  ]
  const results = new Map(found.flat().map((outcome) => [subjectOf(outcome.kind, outcome.key), resultOf(outcome)]))
  for (const each of await readPunctuality(db, catalog, now)) {
    const subject = subjectOf(trainingKind, each.training)
    // what failed says more
    if (each.lateSince !== null && results.get(subject)?.state !== 'breach') results.set(subject, lateResult(subject, each))
  }
  return [...results.values()]
}

function subjectOf(kind: string, key: string): string {
  return `${kind} ${key}`
}

function lateResult(subject: string, late: Punctuality): CheckResult {
  const cause = `${lateText(late)} "lockstep training show ${late.training}" shows its runs.`
  return { subject, threshold: 0, n: 1, state: 'breach', value: 1, evidence: { failed: [] }, cause }
}

interface OutcomesQuery {
  readonly kind: string
  /** null: any. PostgreSQL then reads all jobs of the schedule, and not only the newest. */
  readonly scope: string | null
  readonly keys: readonly string[]
  /** Epoch microseconds: what ended later does not count. */
  readonly until?: number
}

/**
 * What became of the newest instant that has ended of each schedule. If its job began a batch, that batch counts, or
 * the newest run under the same id. What runs or was cancelled does not count.
 */
export async function newestOutcomes({ kysely }: Database, { kind, scope, keys, until }: OutcomesQuery): Promise<readonly Outcome[]> {
  if (keys.length === 0) return []
  const hasEnded = until === undefined ? sql`true` : sql`coalesce(b.finished_at, s.finished_at) <= ${new Date(until / 1000)}`
  const { rows } = await sql<Outcome>`
    select ${kind}::text as kind, w.key, o.* from unnest(${keys}::text[]) as w (key)
    cross join lateral (
      select coalesce(b.id, s.id)::text as job, coalesce(b.kind, s.kind) as job_kind, coalesce(b.subject, s.subject) as subject,
        coalesce(b.state, s.state) as state, case when b.id is null then s.error else b.error end as error
      from lockstep.jobs s
      left join lockstep.job_chunks c on c.job = s.id and c.step = 'chunk' and c.number = 0 and s.kind = ${scheduledBatchKind}
      left join lockstep.jobs begun on begun.id = (c.result ->> 'job')::bigint
      left join lateral (
        select * from lockstep.jobs n where n.kind = begun.kind and n.scope = begun.scope and n.key = begun.key order by n.id desc limit 1
      ) b on true
      where s.kind = ${kind} and ${scope === null ? sql`true` : sql`s.scope = ${scope}`} and s.key = w.key and s.moment is not null
        and coalesce(b.state, s.state) in ('done', 'failed') and ${hasEnded}
      order by s.moment desc limit 1
    ) o`.execute(kysely)
  return rows
}

function resultOf({ kind, key, job, job_kind: jobKind, subject: about, state, error }: Outcome): CheckResult {
  const base = { subject: subjectOf(kind, key), threshold: 0, n: 1 }
  if (state === 'done') return { ...base, state: 'ok', value: 0, evidence: { failed: [] }, cause: null }
  const failed = { job: Number(job), kind: jobKind, subject: about, code: error?.code ?? null }
  const why = error?.message ?? 'no reason is known.'
  const todo = `"lockstep job show ${job}" shows it. Remove the cause, then run "lockstep job retry ${job}".`
  const cause = `The ${jobKind} ${job} of "${about}" failed: ${why}${why.endsWith('.') ? '' : '.'} ${todo}`
  return { ...base, state: 'breach', value: 1, evidence: { failed: [failed] }, cause }
}
