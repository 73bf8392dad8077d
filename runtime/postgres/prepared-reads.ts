import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from './database.ts'
import { isEmbedded } from './database.ts'
import { sqlState } from './relation.ts'

/** Each connection keeps its prepared statements until it ends: 100 KiB or so each. Pages have some 60 texts. */
const maxPrepared = 100
/** A text that was run less often may never come again. */
const runsBefore = 2
const maxCounted = 1000

/** The error of PostgreSQL where the columns of a table have changed since the statement was prepared. */
const changedColumns = '0A000'
/** Its errors where a pooler gives each transaction another connection. */
const lostStatement: ReadonlySet<string> = new Set(['26000', '42P05'])

/**
 * A database whose frequent reads are prepared statements: PostgreSQL spends more time on parsing and planning a short
 * read than on running it. Use it for reads that are repeated, such as those of open pages. Statements of transactions
 * are not prepared. Where prepared statements fail, it reads without them.
 */
export const preparedReads: (db: Database) => Database = memoizeWeak((db: Database): Database => {
  if (isEmbedded(db)) return db
  const prepared = new Set<string>()
  const runs = new Map<string, number>()
  let limit = maxPrepared

  /** Whether to prepare a text that runs now. */
  function isFrequent(text: string): boolean {
    if (prepared.has(text)) return true
    if (prepared.size >= limit) return false
    const before = runs.get(text) ?? 0
    if (before >= runsBefore) {
      runs.delete(text)
      prepared.add(text)
      return true
    }
    if (runs.size >= maxCounted) runs.clear()
    runs.set(text, before + 1)
    return false
  }

  const query: Database['query'] = async (text, parameters, options) => {
    if (!isFrequent(text)) return await db.query(text, parameters, options)
    try {
      return await db.query(text, parameters, { ...options, prepared: true })
    } catch (error) {
      const state = sqlState(error)
      if (lostStatement.has(state)) {
        limit = 0
        prepared.clear()
      } else if (state === changedColumns) {
        prepared.delete(text)
        runs.set(text, Number.NEGATIVE_INFINITY)
      } else throw error
      return await db.query(text, parameters, options)
    }
  }
  return { ...db, query, kysely: kyselyBy(query, db.kysely) }
})

function kyselyBy(query: Database['query'], plain: Kysely<LockstepTables>): Kysely<LockstepTables> {
  class Reads extends DummyDriver {
    /** Such as of `startTransaction`: its statements would run on several connections, outside of a transaction. */
    override async beginTransaction(): Promise<void> {
      throw new Error('Prepared reads begin no transactions: use "transaction()", or the database itself.')
    }
    override async acquireConnection(): Promise<DatabaseConnection> {
      return {
        executeQuery: async <Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> => ({
          rows: await query<Row>(sql, parameters),
        }),
        streamQuery: () => {
          throw new Error('Prepared reads do not stream.')
        },
      }
    }
  }
  class PreparedKysely extends Kysely<LockstepTables> {
    override transaction(): ReturnType<Kysely<LockstepTables>['transaction']> {
      return plain.transaction()
    }
    override connection(): ReturnType<Kysely<LockstepTables>['connection']> {
      return plain.connection()
    }
  }
  return new PreparedKysely({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new Reads(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
}
