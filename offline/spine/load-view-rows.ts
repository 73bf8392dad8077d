import { decodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { createCopyEncoder } from '../rows/copy-encoder.ts'
import type { FileColumn } from '../files/tabular-file.ts'
import { readSourceTable } from '../rows/source-table.ts'
import { sourceRows } from '../rows/source-stream.ts'
import { openSpool } from '../spool.ts'
import { sqlTypeName } from '../rows/sql-type.ts'
import type { Seen } from '../rows/stream-bounds.ts'
import type { SpineRole } from './spine-columns.ts'
import { assignRoles } from './spine-columns.ts'
import type { SpineTarget, ViewRowsInput } from './spine.ts'
import { ordinalColumn } from './spine.ts'

const timeColumn = 'event_timestamp'

/**
 * Makes a spine from the rows of a view's source: each row that becomes visible in [from, to), at that very moment,
 * ordered by key and moment. Its columns are the keys under which the service reads the view, and `event_timestamp`.
 * The view itself defines when a row becomes visible.
 *
 * @param seen which rows of the source are read; `arrivedBefore` null: all settled rows
 * @throws LockstepError `SPINE_INVALID` where the service does not read the view, or needs other keys;
 * `MISSING_REQUEST_VALUE`, and all errors of `sourceRows`
 */
export async function loadViewRows(
  { db, service, table, signal }: SpineTarget,
  input: ViewRowsInput,
  seen: Omit<Seen, 'arrivedBefore'> & { readonly arrivedBefore: number | null },
): Promise<{ readonly time: string; readonly roles: readonly SpineRole[] }> {
  if (input.from >= input.to) {
    throw new LockstepError(
      'USAGE',
      `There are no rows from "${formatTimestamp(input.from)}" to "${formatTimestamp(input.to)}"; choose another range.`,
    )
  }
  const { plan, key } = useOf(service, input.rowsOf)
  const keys = plan.key.map(({ type }, i): Column => ({ name: key[i] as string, type }))
  const columns: Column[] = [...keys, { name: timeColumn, type: { kind: 'timestamp' } }]
  const assigned = assignRoles(service, columns, { time: timeColumn, carried: null }, `A spine of the rows of "${plan.id}"`)
  const numbered = [{ name: ordinalColumn, type: { kind: 'int64' } }, ...columns] as const
  await db.query(
    `CREATE UNLOGGED TABLE ${table} (${numbered.map(({ name, type }) => `${sqlIdentifier(name)} ${sqlTypeName(type)}`).join(', ')})`,
  )
  const encoder = createCopyEncoder(
    `the rows of ${plan.id}`,
    numbered.map(({ name, type }) => ({
      from: { name, type, described: type.kind } satisfies FileColumn,
      type: sqlTypeName(type),
      nullable: false,
    })),
  )
  // an embedded database runs one statement at a time, so all rows are read before they are loaded
  const spool = await openSpool()
  try {
    await db.snapshot(async (snapshot) => {
      const { hasXid } = await readSourceTable(snapshot, plan.spec.source)
      const stream = sourceRows(snapshot, [plan], {
        rule: seen.rule,
        until: input.to,
        ...(seen.knownBefore === null ? {} : { knownBefore: seen.knownBefore }),
        ...(hasXid ? { arrival: { from: 0, to: seen.arrivedBefore ?? snapshot.xmin } } : {}),
      })
      let firstRow = 1
      for await (const rows of stream) {
        signal?.throwIfAborted()
        const batch: Value[][] = numbered.map(() => [])
        for (const row of rows) {
          const moment = plan.visibleAt(row.eventTime, row.knownTime, seen.rule)
          if (moment < input.from || moment >= input.to) continue
          const values = [firstRow + (batch[0]?.length ?? 0), ...decodeKey(plan.key, row.key), moment]
          for (const [i, value] of values.entries()) batch[i]?.push(value)
        }
        const length = batch[0]?.length ?? 0
        for (const chunk of encoder.encode({ firstRow, rows: length, columns: batch })) await spool.write(chunk)
        firstRow += length
      }
    })
    for (const chunk of encoder.finish()) await spool.write(chunk)
    await db.copyIn(
      `COPY ${table} (${numbered.map(({ name }) => sqlIdentifier(name)).join(', ')}) FROM STDIN (FORMAT binary)`,
      spool.read(),
    )
  } finally {
    await spool.close()
  }
  return assigned
}

/**
 * The use of the view with that id, or of the newest version with that name. A use without an alias comes before
 * others.
 */
function useOf(service: ServicePlan, view: string): ViewUse {
  const named = ({ plan }: ViewUse): boolean => plan.id === view || plan.spec.name === view
  const versionOf = ({ spec }: ViewPlan): number => spec.version
  const found = service.uses
    .filter(named)
    .toSorted((a, b) => versionOf(b.plan) - versionOf(a.plan) || Number(a.alias !== null) - Number(b.alias !== null))
  const [first] = found
  if (first !== undefined) return first
  const views = [...new Set(service.uses.map(({ plan }) => `"${plan.id}"`))].join(', ')
  throw new LockstepError('SPINE_INVALID', `The service "${service.id}" does not read the view "${view}"; it reads ${views}.`)
}
