import { readdir, rm, writeFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite } from '@electric-sql/pglite'
import { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import { typeParsers } from '../postgres/type-parsers.ts'
import { copyHeader, copyPieces, copyTrailer } from '../postgres/copy-pieces.ts'
import type { AroundCopy, EmbeddedDatabase } from '../postgres/database.ts'
import { damaged, embeddedFailure, isBroken } from './embedded-failure.ts'
import { packTemplate, templateFile, unpackTemplate } from './embedded-template.ts'
import { createPgliteDialect } from './pglite-dialect.ts'
import { createPgliteSnapshots, inTransaction } from './pglite-snapshot.ts'
import { closeFolder, makePrivate } from '../private-folder.ts'
import { copyMessages, queryMessage } from '../postgres/postgres-wire.ts'
import { tierUpLater } from '../v8-flags.ts'

const copyPieceBytes = 8 * 1024 * 1024

/**
 * Enough memory to sort a few million rows without files. Cursors are planned for all rows, because all rows are read.
 * The engine writes zeros to all of `shared_buffers` when it opens. With the default of 128 MB, opening takes twice the
 * processor time and 112 MB more memory, and a scan of 500,000 rows takes a fifth less.
 */
const settings = [
  'work_mem=64MB',
  'maintenance_work_mem=128MB',
  'shared_buffers=16MB',
  'max_wal_size=1GB',
  'cursor_tuple_fraction=1',
  'TimeZone=UTC',
]

/**
 * Opens the embedded PostgreSQL in a folder, which is created if it is missing. The folder must have one owner
 * (runtime/embedded/embedded-owner.ts), because two processes would overwrite each other's data.
 *
 * It writes its log before it answers, like PostgreSQL, but does not wait for the disk. So a killed process loses no
 * commit, but a power failure may.
 *
 * @throws LockstepError `WRITE_FAILED` where the disk is full or the folder may not be written to, also by whatever is
 *   asked of the database later; `CONFIG_INVALID` where it is no folder; `EMBEDDED_DAMAGED`
 */
export async function openPglite(directory: string): Promise<EmbeddedDatabase> {
  const engine = await createEngine(directory).catch((error: unknown) => {
    throw embeddedFailure(directory, error, 'opening')
  })
  let broken = false
  const pglite = explained(engine, (error) => {
    broken ||= isBroken(error)
    return embeddedFailure(directory, error, 'running')
  })
  const snapshots = createPgliteSnapshots(pglite)
  const { read, query } = snapshots
  const kysely = new Kysely<LockstepTables>({ dialect: createPgliteDialect(pglite, snapshots) })
  const locked = new Set<string>()
  const listening = new Set<{ readonly channel: string }>()

  const database: EmbeddedDatabase = {
    kind: 'pglite',
    kysely,
    async query<Row>(sql: string, parameters: readonly unknown[] = [], options: { signal?: AbortSignal | undefined } = {}) {
      // statements block: without a turn for other events nobody could have given the signal
      if (options.signal !== undefined) await nextTurn()
      options.signal?.throwIfAborted()
      return (await query<Row>(sql, [...parameters])).rows
    },
    script: (sql) => runScript(pglite, sql),
    copyIn: (copy, chunks, around) => copyIn(pglite, copy, chunks, around),
    snapshot: (fn) => read(({ snapshot }) => fn(snapshot)),
    tuples: (select, onBatch) =>
      read(async ({ snapshot }) => {
        for await (const batch of snapshot.tuples(select)) onBatch(batch)
      }),
    async lock(group, id) {
      await pglite.query('SELECT pg_advisory_lock($1, $2)', [group, id])
      return async () => void (await pglite.query('SELECT pg_advisory_unlock($1, $2)', [group, id]))
    },
    async tryLock(group, id) {
      // the one session takes a lock as often as it likes, so what it holds is noted beside
      const name = `${group}:${id}`
      if (locked.has(name)) return null
      locked.add(name)
      return async () => void locked.delete(name)
    },
    async statements(sql, values = []) {
      try {
        if (values.length > 0) return await pglite.query(sql, [...values])
        return { rows: (await pglite.exec(sql)).flatMap(({ rows }) => rows) }
      } catch (error) {
        // one of them may have begun a transaction
        await pglite.query('ROLLBACK').catch(() => undefined)
        throw error
      }
    },
    async listen(channel, onNotice) {
      const stop = await pglite.listen(channel, onNotice)
      const listener = { channel }
      listening.add(listener)
      onNotice(null)
      return async () => {
        listening.delete(listener)
        if (!broken && !pglite.closed) await stop()
      }
    },
    listeners: async (channel) => [...listening].filter((each) => each.channel === channel).length,
    obstacle: () => snapshots.obstacle(),
    async ping() {
      await query('SELECT 1')
    },
    async close() {
      // closing a failed engine would never end
      if (broken) return
      await kysely.destroy()
      if (!pglite.closed) await pglite.close()
    },
  }
  return database
}

/**
 * A first start that breaks off, as on a full disk, leaves files of which no database can be made. A note beside the
 * folder says that it is under way, so that the next one starts from scratch.
 */
async function createEngine(directory: string): Promise<PGlite> {
  tierUpLater()
  const { PGlite } = await import('@electric-sql/pglite')
  const note = `${directory}.unfinished`
  makePrivate(dirname(directory))
  const beside = await readdir(dirname(directory))
  if (beside.includes(basename(note))) await rm(directory, { recursive: true, force: true })
  makePrivate(directory)
  const files = await readdir(directory)
  const fresh = files.length === 0
  // the engine would create a new database over the remains of the old one
  if (!fresh && !files.includes('PG_VERSION')) throw damaged(directory, 'database', 'it has no "PG_VERSION"', null)
  const start = (): Promise<PGlite> =>
    PGlite.create(directory, {
      parsers: Object.fromEntries(typeParsers),
      startParams: [...PGlite.defaultStartParams, ...settings.flatMap((setting) => ['-c', setting])],
    })
  if (fresh) {
    await writeFile(note, '')
    const template = templateFile()
    if (template !== null && !unpackTemplate(template, directory)) {
      await (await start()).close()
      packTemplate(template, directory)
    }
  }
  const engine = await start()
  // the image that a new database is made of may be read by all, and so may what is made with each start
  closeFolder(directory, ['PG_VERSION', 'global/pg_internal.init'])
  if (fresh) await rm(note)
  return engine
}

/**
 * The engine, whose failures go through `explain`: failures of its methods, and of its transactions.
 */
function explained<T extends object>(target: T, explain: (error: unknown) => unknown): T {
  const fail = (error: unknown): never => {
    throw explain(error)
  }
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      return (...given: unknown[]): unknown => {
        const args = name === 'transaction' ? given.map(ofTransaction) : given
        const result: unknown = Reflect.apply(value, target, args)
        return result instanceof Promise ? result.catch(fail) : result
      }
    },
  })

  function ofTransaction(work: unknown): unknown {
    if (typeof work !== 'function') return work
    return (transaction: object): unknown => Reflect.apply(work, undefined, [explained(transaction, explain)])
  }
}

/** What `DISCARD ALL` does, but for what the session holds of this process: listeners and locks stay. */
const discard = 'CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL; DISCARD PLANS; DISCARD TEMP; DISCARD SEQUENCES'

/**
 * A script may leave a transaction or settings behind, which must not reach the next user of the session: the three are
 * queued at once, so that no other statement comes between them.
 */
async function runScript(pglite: PGlite, sql: string): Promise<void> {
  const [script] = await Promise.allSettled([pglite.exec(sql), pglite.exec('ROLLBACK'), pglite.exec(discard)])
  if (script.status === 'rejected') throw script.reason
}

/** The engine reads a COPY in one blocking call, so that a large one is made of several, in one transaction. */
function copyIn(pglite: PGlite, copy: string, chunks: AsyncIterable<Uint8Array>, around: AroundCopy | undefined): Promise<number> {
  return inTransaction(pglite, async (transaction) => {
    for (const statement of around?.before ?? []) await transaction.query(statement)
    let rows = 0
    for await (const { binary, bytes } of copyPieces(chunks, copyPieceBytes)) {
      const data = binary ? [copyHeader, bytes, copyTrailer] : [bytes]
      const wire = Buffer.concat([queryMessage(copy), ...copyMessages(data)])
      const { messages } = await pglite.runExclusive(() => pglite.execProtocol(wire, { syncToFs: false }))
      for (const message of messages) {
        if ('text' in message && typeof message.text === 'string') rows += Number(/^COPY (\d+)$/.exec(message.text)?.[1] ?? 0)
      }
    }
    for (const statement of around?.between ?? []) await transaction.query(statement)
    if (around !== undefined) around.onRows((await transaction.query(around.after(rows))).rows)
    return rows
  })
}
