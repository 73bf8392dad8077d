import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { TimeRule } from '../kernel/view-plan.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { Database } from '../runtime/database.ts'
import { trimQuery } from '../runtime/relation.ts'
import { sqlIdentifier } from '../runtime/sql.ts'
import type { Explained } from './explain.ts'
import { explain } from './explain.ts'
import { readSourceTable } from './source-table.ts'
import type { SpineInput } from './spine/spine.ts'
import { tablesBehind } from './tables-behind.ts'

/**
 * Refuses a spine that a query draws from the very table that a view counts, where a row of it counts at its own moment: each row of the spine would then see itself, its
 * label included. A row counts at its own moment if nothing says when it became known, or if that was no later.
 *
 * @returns what could not be checked, a sentence each
 * @throws LockstepError `LABEL_LEAK` naming the view, its source and the table; `SOURCE_MISSING` where a source is not there
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
    const why = await whySeen(db, source, relation, rule)
    if (why === null) continue
    if (shared === undefined) {
      const what = drawn === null ? 'a file' : `the function ${doubts.map((name) => `"${name}"`).join(', ')}`
      unchecked.push(
        `It could not be checked whether the spine has rows of the source "${source.name}" itself, as it comes from ${what}: such a row would see itself in "${id}", and so its own label (${why}). Use --as-of before where that can be.`,
      )
      continue
    }
    throw new LockstepError(
      'LABEL_LEAK',
      `The spine is drawn from the table "${shared}", which "${id}" reads as its source "${source.name}", and ${why}: ` +
        'a row would see itself, and so its own label. Name the source\'s "known" column (in it, "infinity" is for what may never become known), or count only what was there before each moment (as of "before").',
      { details: { table: shared, view: id, source: source.name } },
    )
  }
  return unchecked
}

/** Why rows of a source count at their own moment; null where none does. */
async function whySeen(db: Database, { eventTime, known }: SourceSpec, relation: string, rule: TimeRule): Promise<string | null> {
  if (known === null) return 'nothing says when its rows became known'
  if (rule.knowledge === 'latest') return 'what was known is set aside'
  const column = `s.${sqlIdentifier(known)}`
  const [found] = await db.snapshot((snapshot) =>
    snapshot.query<{ none: boolean }>(
      `SELECT ${column} IS NULL AS none FROM ${relation} s WHERE ${column} IS NULL OR ${column} <= s.${sqlIdentifier(eventTime)} LIMIT 1`,
    ),
  )
  if (found === undefined) return null
  return found.none
    ? `"${known}" is null in rows of it, which then count from their event time on`
    : `"${known}" is no later than the event time in rows of it`
}

interface ReadTables {
  readonly tables: ReadonlySet<string>
  /** Functions that may read any table. */
  readonly functions: readonly string[]
}

/** What a query reads, as far as the catalog says; undefined where it cannot be planned: it cannot be run either, and running it says why. */
async function readBy(db: Database, query: string): Promise<ReadTables | undefined> {
  let explained: Explained
  try {
    explained = await explain(db, trimQuery(query))
  } catch {
    return undefined
  }
  return await tablesBehind(db, explained)
}
