import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { DefinitionId, SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { trimQuery } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { Explained } from '../explain.ts'
import { explain } from '../explain.ts'
import { sourceKey } from '../rows/source-stream.ts'
import { readSourceTable } from '../rows/source-table.ts'
import { castTo } from '../rows/sql-type.ts'
import type { SpineColumn, SpineInput, StoredSpine } from '../spine/spine.ts'
import { tablesBehind } from '../tables-behind.ts'

/** A source whose rows count at their own moment, of which the spine may have rows. */
interface SuspectedLeak {
  readonly source: string
  readonly view: DefinitionId
  /** `a file`, or the functions that may read its rows. */
  readonly from: string
  readonly why: string
  /** SQL over the source's rows as `s`: those that count at their own moment. */
  readonly seen: string
}

/**
 * Refuses a spine that a query draws from the very table that a view counts, where a row of it counts at its own
 * moment: each row of the spine would then see itself, its label included. A row counts at its own moment if nothing
 * says when it became known, or if that was no later.
 *
 * @returns the sources of which only the rows of the spine can say whether it has theirs (`confirmLeaks`)
 * @throws LockstepError `LABEL_LEAK` naming the view, its source and the table; `SOURCE_MISSING` where a source is not
 *   there
 */
export async function refuseLabelLeak(
  db: Database,
  service: ServicePlan,
  spine: SpineInput,
  { rule, asOf }: { readonly rule: TimeRule; readonly asOf: 'at' | 'before' },
): Promise<readonly SuspectedLeak[]> {
  if (asOf === 'before' || 'rowsOf' in spine) return []
  const drawn = 'sql' in spine ? await readBy(db, spine.sql) : null
  if (drawn === undefined) return []
  const suspected: SuspectedLeak[] = []
  const views = new Map(service.uses.map(({ plan }) => [plan.spec.source.name, plan]))
  for (const { id, spec } of views.values()) {
    const { source } = spec
    const { relation } = await readSourceTable(db, source)
    const counted = await readBy(db, `SELECT FROM ${relation} s`)
    const shared = [...(counted?.tables ?? [])].find((table) => drawn?.tables.has(table) === true)
    const doubts = drawn === null ? [] : [...drawn.functions, ...(counted?.functions ?? [])]
    if (drawn !== null && shared === undefined && doubts.length === 0) continue
    const seen = await whySeen(db, source, relation, rule)
    if (seen === null) continue
    const { why, advice, rows } = seen
    if (shared === undefined) {
      const from = drawn === null ? 'a file' : `the function ${quotedNames(doubts)}`
      suspected.push({ source: source.name, view: id, from, why, seen: rows })
      continue
    }
    throw new LockstepError(
      'LABEL_LEAK',
      `The spine reads the table "${shared}", which is also the source "${source.name}" of "${id}", and ${why}: ` +
        `each spine row would count itself, and with it its label. ${advice}, or use --as-of before (asOf: 'before' in a definition or a request), which counts only rows that were visible before each moment.`,
      { details: { table: shared, view: id, source: source.name } },
    )
  }
  return suspected
}

/**
 * Looks for suspected leaks in a loaded spine: a row of the source in it has the key and the event time of that row.
 *
 * @returns a sentence for each source with such rows; whether they are its rows, only the user knows
 */
export async function confirmLeaks(
  db: Database,
  service: ServicePlan,
  spine: Pick<StoredSpine, 'table' | 'columns' | 'time' | 'rows'>,
  suspected: readonly SuspectedLeak[],
): Promise<readonly string[]> {
  const notes: string[] = []
  for (const { source, view, from, why, seen } of suspected) {
    const uses = service.uses.filter(({ plan }) => plan.spec.source.name === source)
    // views with the same key find the same rows
    const distinct = new Map(uses.map((use) => [JSON.stringify([use.key, sourceKey(use.plan)]), use]))
    const counts = await Promise.all(Array.from(distinct.values(), (use) => ownMoments(db, use, spine, seen)))
    const most = Math.max(0, ...counts)
    if (most === 0) continue
    notes.push(
      `The spine comes from ${from}, and ${most} of its ${spine.rows} rows ${most === 1 ? 'has' : 'have'} the key and the time of a row of the source "${source}". If ${most === 1 ? 'it is' : 'they are'} from that source, the features of "${view}" contain the label of their own row (${why}). In that case use --as-of before.`,
    )
  }
  return notes
}

/** How many spine rows have the key and the event time of a row of a view's source that counts at its own moment. */
async function ownMoments(
  db: Database,
  { plan, key }: ViewUse,
  spine: Pick<StoredSpine, 'table' | 'columns' | 'time'>,
  seen: string,
): Promise<number> {
  const { source } = plan.spec
  const spineColumns = [...key, spine.time].map((name) => spine.columns.find((column) => column.name === name) as SpineColumn)
  return await db.snapshot(async (snapshot) => {
    const { relation, types } = await readSourceTable(snapshot, source)
    const sourceColumns = [...sourceKey(plan).map(({ name }) => name), source.eventTime].map((name, i) =>
      castTo((spineColumns[i] as SpineColumn).type, `s.${sqlIdentifier(name)}`, types.get(name)),
    )
    const [found] = await snapshot.query<{ rows: number }>(
      `SELECT count(*)::float8 AS rows FROM ${spine.table} s WHERE (${spineColumns.map(({ sql }) => sql).join(', ')}) IN ` +
        `(SELECT ${sourceColumns.join(', ')} FROM ${relation} s WHERE ${seen})`,
    )
    return found?.rows ?? 0
  })
}

interface Seen {
  readonly why: string
  readonly advice: string
  /** SQL over the source's rows as `s`: those that count at their own moment. */
  readonly rows: string
}

/** Why rows of a source count at their own moment, and what to do; null where none does. */
async function whySeen(db: Database, { eventTime, known }: SourceSpec, relation: string, rule: TimeRule): Promise<Seen | null> {
  if (known === null)
    return {
      why: 'nothing says when its rows became known',
      advice: 'Name the column with that time as the source\'s "known"',
      rows: 'true',
    }
  if (rule.knowledge === 'latest') return { why: 'known times are ignored', advice: 'Remove --knowledge latest', rows: 'true' }
  const column = `s.${sqlIdentifier(known)}`
  const rows = `${column} IS NULL OR ${column} <= s.${sqlIdentifier(eventTime)}`
  const [found] = await db.snapshot((snapshot) =>
    snapshot.query<{ none: boolean }>(`SELECT ${column} IS NULL AS none FROM ${relation} s WHERE ${rows} LIMIT 1`),
  )
  if (found === undefined) return null
  return found.none
    ? {
        why: `"${known}" is null in some of its rows, which then count from their event time`,
        advice: 'Use "infinity" instead of null for rows that are not known yet',
        rows,
      }
    : {
        why: `"${known}" is not later than the event time in some of its rows`,
        advice: `Set "${known}" to the time when a row really became known`,
        rows,
      }
}

interface ReadTables {
  readonly tables: ReadonlySet<string>
  /** Functions that may read any table. */
  readonly functions: readonly string[]
}

/**
 * The tables that a query reads, by PostgreSQL's catalog; undefined: the query cannot be planned. Then it cannot be run
 * either, and running it reports why.
 */
async function readBy(db: Database, query: string): Promise<ReadTables | undefined> {
  let explained: Explained
  try {
    explained = await explain(db, trimQuery(query))
  } catch {
    return undefined
  }
  return await tablesBehind(db, explained)
}

/** If both the spine and the sources are files: a sentence for each source that cannot be checked. */
export function uncheckedLeaks(
  service: ServicePlan,
  { rule, asOf }: { readonly rule: TimeRule; readonly asOf: 'at' | 'before' },
): readonly string[] {
  if (asOf === 'before') return []
  const views = new Map(service.uses.map(({ plan }) => [plan.spec.source.name, plan]))
  return [...views.values()].map(({ id, spec: { source } }) => {
    const { name, known } = source
    const where = known === null || rule.knowledge === 'latest' ? '' : ` if its "${known}" is null or not later than its event time`
    return `Lockstep cannot check whether the spine contains rows of the source "${name}", because both are files. If it does, the features of "${id}" contain the label of their own row${where}. In that case use --as-of before.`
  })
}
