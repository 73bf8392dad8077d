import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { trimQuery } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { Explained } from '../explain.ts'
import { explain } from '../explain.ts'
import { readSourceTable } from '../rows/source-table.ts'
import type { SpineInput } from '../spine/spine.ts'
import { tablesBehind } from '../tables-behind.ts'

/**
 * Refuses a spine that a query draws from the very table that a view counts, where a row of it counts at its own
 * moment: each row of the spine would then see itself, its label included. A row counts at its own moment if nothing
 * says when it became known, or if that was no later.
 *
 * @returns what could not be checked, a sentence each
 * @throws LockstepError `LABEL_LEAK` naming the view, its source and the table; `SOURCE_MISSING` where a source is not
 *   there
 */
export async function refuseLabelLeak(
  db: Database,
  service: ServicePlan,
  spine: SpineInput,
  { rule, asOf }: { readonly rule: TimeRule; readonly asOf: 'at' | 'before' },
): Promise<readonly string[]> {
  if (asOf === 'before' || 'rowsOf' in spine) return []
  const drawn = 'sql' in spine ? await readBy(db, spine.sql) : null
  if (drawn === undefined) return []
  const unchecked: string[] = []
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
    const { why, advice } = seen
    if (shared === undefined) {
      const what = drawn === null ? 'a file' : `the function ${quotedNames(doubts)}`
      unchecked.push(
        `Lockstep cannot check whether the spine contains rows of the source "${source.name}", because the spine comes from ${what}. If it does, the features of "${id}" contain the label of their own row (${why}). In that case use --as-of before.`,
      )
      continue
    }
    throw new LockstepError(
      'LABEL_LEAK',
      `The spine reads the table "${shared}", which is also the source "${source.name}" of "${id}", and ${why}: ` +
        `each spine row would count itself, and with it its label. ${advice}, or use --as-of before (asOf: 'before' in a definition or a request), which counts only rows that were visible before each moment.`,
      { details: { table: shared, view: id, source: source.name } },
    )
  }
  return unchecked
}

interface Seen {
  readonly why: string
  readonly advice: string
}

/** Why rows of a source count at their own moment, and what to do; null where none does. */
async function whySeen(db: Database, { eventTime, known }: SourceSpec, relation: string, rule: TimeRule): Promise<Seen | null> {
  if (known === null)
    return { why: 'nothing says when its rows became known', advice: 'Name the column with that time as the source\'s "known"' }
  if (rule.knowledge === 'latest') return { why: 'known times are ignored', advice: 'Remove --knowledge latest' }
  const column = `s.${sqlIdentifier(known)}`
  const [found] = await db.snapshot((snapshot) =>
    snapshot.query<{ none: boolean }>(
      `SELECT ${column} IS NULL AS none FROM ${relation} s WHERE ${column} IS NULL OR ${column} <= s.${sqlIdentifier(eventTime)} LIMIT 1`,
    ),
  )
  if (found === undefined) return null
  return found.none
    ? {
        why: `"${known}" is null in some of its rows, which then count from their event time`,
        advice: 'Use "infinity" instead of null for rows that are not known yet',
      }
    : {
        why: `"${known}" is not later than the event time in some of its rows`,
        advice: `Set "${known}" to the time when a row really became known`,
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
