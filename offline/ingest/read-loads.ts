import type { Database } from '../../runtime/postgres/database.ts'

/** A file that was loaded into the table of a source. */
export interface Load {
  readonly id: string
  readonly source: string
  readonly table: string
  readonly path: string
  readonly sha256: string
  readonly every: number
  readonly again: boolean
  /** The columns that identify a row; empty: none. */
  readonly key: readonly string[]
  readonly actor: string
  readonly rows: number
  /** How many rows were left out, because their key was in the table. */
  readonly already: number
  readonly at: string
  readonly state: 'loaded' | 'undoing' | 'undone'
}

/** The most loads that one list has. */
export const maxListedLoads = 1_000

interface LoadFilter {
  readonly source?: string | undefined
  /** Only loads that are older than the one with this id. */
  readonly before?: string | undefined
  /** Absent: 100. */
  readonly limit?: number | undefined
}

/** A page of the loads, newest first. */
export async function readLoads(
  { kysely }: Database,
  { source, before, limit = 100 }: LoadFilter,
): Promise<{ readonly loads: Load[]; readonly next: string | null }> {
  let query = kysely
    .selectFrom('lockstep.ingests')
    .selectAll()
    .orderBy('id', 'desc')
    .limit(limit + 1)
  if (source !== undefined) query = query.where('source', '=', source)
  if (before !== undefined) query = query.where('id', '<', before)
  const found = await query.execute()
  const loads = found
    .slice(0, limit)
    .map(({ id, source: of, relation, path, sha256, every, again, key, rows, already, actor, at, undoing_at, undone_at }): Load => ({
      id,
      source: of,
      table: relation,
      path,
      sha256,
      every,
      again,
      key,
      actor,
      rows: Number(rows),
      already: Number(already),
      at: at.toISOString(),
      state: undone_at !== null ? 'undone' : undoing_at !== null ? 'undoing' : 'loaded',
    }))
  return { loads, next: found.length > limit ? (loads.at(-1)?.id ?? null) : null }
}
