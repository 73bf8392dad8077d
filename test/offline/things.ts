import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { OnDemandSpec, ServiceMember } from '../../kernel/specs/service-spec.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Scalar, Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import { allColumns } from '../kernel/view-oracle.ts'
import type { RawRow } from '../kernel/view-oracle.ts'

export interface ThingRow extends RawRow {
  readonly thing: string | null
}

/** The table behind the views of test/kernel/view-oracle.ts: one time with a zone, one without. */
export async function createThings(db: Database, table: string, rows: readonly ThingRow[], owned = true): Promise<void> {
  const identity = owned ? `, "_row" bigint, "_xid" xid8 NOT NULL DEFAULT pg_current_xact_id()` : ''
  await db.query(
    `CREATE TABLE ${table} (thing text, at timestamptz, known timestamp, i int4, big int8, f float8, s varchar(10), ok bool${identity})`,
  )
  if (rows.length === 0) return
  const tuples = rows.map(
    (row) =>
      `(${[literal(row.thing), time(row.eventTime), time(row.knownTime), ...allColumns.map((_, i) => literal(row.values[i] ?? null)), ...(owned ? [String(row.tie)] : [])].join(', ')})`,
  )
  await db.query(`INSERT INTO ${table} (thing, at, known, i, big, f, s, ok${owned ? ', "_row"' : ''}) VALUES ${tuples.join(', ')}`)
}

export function literal(value: Value | null): string {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return sqlText(value)
  return `'${(value as Scalar).toString()}'`
}

export function time(micros: number | null): string {
  return micros === null ? 'NULL' : `'${formatTimestamp(micros)}'`
}

export function view(spec: ViewSpec, table: string): ViewPlan {
  return compileView({
    spec: { ...spec, source: { ...spec.source, name: table, relation: { kind: 'table', table } } },
    code: null,
    fingerprint: `print of ${spec.name}`,
  })
}

/** A service of all features of each view, under each of its aliases. */
export function service(
  uses: readonly { readonly plan: ViewPlan; readonly alias: string | null; readonly key: readonly string[] }[],
  onDemand?: { readonly spec: OnDemandSpec; readonly code: string },
): ServicePlan {
  const members: ServiceMember[] = uses.map(({ plan, alias, key }) => ({
    kind: 'view',
    use: { view: plan.id, alias, key },
    features: plan.features.map(({ name }) => name),
  }))
  const onDemandId: DefinitionId | null = onDemand === undefined ? null : `${onDemand.spec.name}@${onDemand.spec.version}`
  if (onDemand !== undefined && onDemandId !== null)
    members.push({ kind: 'onDemand', view: onDemandId, features: onDemand.spec.features.map(({ name }) => name) })
  return compileService({
    spec: { name: 'things_service', version: 1, members },
    fingerprint: 'print of the service',
    views: new Map(uses.map(({ plan }) => [plan.id, plan])),
    onDemand: new Map(onDemand === undefined || onDemandId === null ? [] : [[onDemandId, onDemand]]),
  })
}
