import type { DefinitionKind } from '../../migrations/schema.ts'
import type { AuditRecord } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** A time in which something changed. */
export interface ChangedWithin {
  readonly from: Date
  /** null: up to now. */
  readonly to: Date | null
}

/** A change of which versions a model has and which of them answers, and who made it. */
export type ModelChange = Pick<AuditRecord, 'at' | 'action' | 'subject' | 'before' | 'after' | 'reason'> & { readonly who: string }

/**
 * What changed which versions a model has and which of them answers, newest first, by the audit log: pushes, aliases,
 * pins, rollouts, shadows, and starts and ends of experiments.
 */
export async function readModelChanges(
  db: Pick<Database, 'query'>,
  model: string,
  { from, to }: ChangedWithin,
  limit: number,
): Promise<readonly ModelChange[]> {
  return await db.query<ModelChange>(
    `SELECT at, action, subject, before, after, reason, coalesce(actor_name, actor) AS who FROM lockstep.audit_log
     WHERE at >= $2 AND ($3::timestamptz IS NULL OR at <= $3)
       AND ((split_part(action, '.', 1) IN ('model', 'rollout', 'shadow') AND split_part(subject, '@', 1) = $1)
         OR (action IN ('experiment.start', 'experiment.stop', 'experiment.decide')
           AND subject IN (SELECT name FROM lockstep.experiments WHERE model = $1)))
     ORDER BY id DESC LIMIT ${limit}`,
    [model, from, to],
  )
}

/** A definition and its version; 0: it has none. */
interface DefinitionName {
  readonly kind: DefinitionKind
  readonly name: string
  readonly version: number
}

export interface DefinitionChange extends DefinitionName {
  readonly at: Date
  readonly change: 'new' | 'changed' | 'retired'
  /** null: the audit log does not say. */
  readonly who: string | null
  readonly reason: string | null
}

/** How definitions changed, newest first. A change has the moment of the transaction that made it, as its audit has. */
export async function readDefinitionChanges(
  db: Pick<Database, 'query'>,
  definitions: readonly DefinitionName[],
  { from, to }: ChangedWithin,
  limit: number,
): Promise<readonly DefinitionChange[]> {
  const of = <Key extends keyof DefinitionName>(key: Key) => definitions.map((definition) => definition[key])
  return await db.query<DefinitionChange>(
    `SELECT s.at, kind, name, version, who, reason,
       CASE WHEN retired THEN 'retired'
         WHEN EXISTS (SELECT FROM lockstep.definition_states b WHERE (b.kind, b.name, b.version) = (s.kind, s.name, s.version) AND b.id < s.id)
           THEN 'changed' ELSE 'new' END AS change
     FROM unnest($1::text[], $2::text[], $3::int[]) AS wanted (kind, name, version)
     JOIN lockstep.definition_states s USING (kind, name, version)
     LEFT JOIN LATERAL (
       SELECT coalesce(actor_name, actor) AS who, reason FROM lockstep.audit_log a
       WHERE a.at = s.at AND action IN ('apply', 'prune', 'model.delete') ORDER BY id LIMIT 1
     ) audited ON true
     WHERE s.at >= $4 AND ($5::timestamptz IS NULL OR s.at <= $5)
     ORDER BY s.at DESC, s.id DESC LIMIT ${limit}`,
    [of('kind'), of('name'), of('version'), from, to],
  )
}
