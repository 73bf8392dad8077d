import type { Database } from '../runtime/database.ts'

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

/** The loads of all sources, newest first. */
export async function readLoads({ kysely }: Database): Promise<Load[]> {
  const found = await kysely.selectFrom('lockstep.ingests').selectAll().orderBy('id', 'desc').execute()
  return found.map(({ id, source, relation, path, sha256, every, again, key, rows, already, actor, at, undoing_at, undone_at }) => ({
    id,
    source,
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
}
