import type { PGlite } from '@electric-sql/pglite'
import type { CompiledQuery, DatabaseConnection, Dialect, Driver, QueryResult, TransactionSettings } from 'kysely'
import { PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { PgliteSnapshots } from './pglite-snapshot.ts'

/**
 * Kysely's own dialect has one connection. There a transaction that waits for the session keeps all statements waiting,
 * and one that only reads waits for the open snapshot.
 */
export function createPgliteDialect(pglite: PGlite, snapshots: PgliteSnapshots): Dialect {
  return {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => createDriver(pglite, snapshots),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  }
}

interface Connection extends DatabaseConnection {
  begin(settings: TransactionSettings): Promise<void>
  end(how: 'commit' | 'rollback'): Promise<void>
}

function createDriver(pglite: PGlite, snapshots: PgliteSnapshots): Driver {
  return {
    init: async () => undefined,
    acquireConnection: async () => createConnection(pglite, snapshots),
    beginTransaction: (connection: Connection, settings) => connection.begin(settings),
    commitTransaction: (connection: Connection) => connection.end('commit'),
    rollbackTransaction: (connection: Connection) => connection.end('rollback'),
    releaseConnection: async () => undefined,
    async destroy() {
      if (!pglite.closed) await pglite.close()
    },
  }
}

function createConnection(pglite: PGlite, snapshots: PgliteSnapshots): Connection {
  const rolledBack = new Error('rolled back')
  let query = snapshots.query
  let finish = Promise.withResolvers<void>()
  let transaction: Promise<void> = Promise.resolve()
  return {
    async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
      const { rows, affectedRows } = await query<Row>(sql, [...parameters])
      return { rows, ...(affectedRows === undefined ? {} : { numAffectedRows: BigInt(affectedRows) }) }
    },
    streamQuery() {
      throw new Error('PGlite does not stream the rows of a statement.')
    },
    async begin({ accessMode }) {
      const begun = Promise.withResolvers<PGlite['query']>()
      finish = Promise.withResolvers<void>()
      const hold = async (own: PGlite['query']): Promise<void> => {
        begun.resolve(own)
        await finish.promise
      }
      transaction =
        accessMode === 'read only' ? snapshots.readBriefly(({ query: own }) => hold(own)) : pglite.transaction((own) => hold(own.query))
      transaction.catch(begun.reject)
      query = await begun.promise
    },
    async end(how) {
      query = snapshots.query
      if (how === 'commit') finish.resolve()
      else finish.reject(rolledBack)
      await transaction.catch((error: unknown) => {
        if (error !== rolledBack) throw error
      })
    },
  }
}
