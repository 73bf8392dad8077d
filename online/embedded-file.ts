import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { damaged, folderFailure, sqliteCode } from '../runtime/embedded/embedded-failure.ts'
import { closeFolder, makePrivate } from '../runtime/private-folder.ts'
import { quotedNames } from '../kernel/values/quoted-names.ts'

const sqlite = await importSqlite()
const fileName = 'states.sqlite'
/** SQLite's file, its write-ahead log and the index of this log. */
const embeddedFiles: readonly string[] = [fileName, `${fileName}-wal`, `${fileName}-shm`]
/** How long a writer waits for another process to end its transaction. */
const busyMs = 30_000
/** How long a removal waits for readers of the log, which it then empties. */
const logMs = 1_000
/** The size that the log keeps when it begins again. */
const logBytes = 64_000_000
/** SQLite's codes CORRUPT and NOTADB. */
const damages = new Set([11, 26])
const busy = 5

/** The SQLite file of an embedded online store, which several processes may use. Its table is `states (key, bytes)`. */
export interface EmbeddedFile {
  prepare(sql: string): StatementSync
  /**
   * Runs it, and again while another process has the lock that it needs. The waits are timers: SQLite itself would
   * block the event loop.
   */
  whenFree<T>(run: () => T): Promise<T>
  /**
   * As `whenFree`, if the file is still in its folder. Without it, SQLite goes on with one that no other process sees.
   */
  whenPresent<T>(run: () => T): Promise<T>
  /** As `whenPresent`, in the order of the calls: none overtakes one that waits for another process. */
  inTurn<T>(run: () => T): Promise<T>
  /** Runs it at once, in a transaction: it sees one state of the file. */
  transaction<T>(kind: 'read' | 'write', run: () => T): T
  /** Empties the log, which has earlier states. If others use it all the time, the next checkpoint does that. */
  emptyLog(): Promise<void>
  /** Waits for what runs in turn. */
  close(): Promise<void>
}

/**
 * Opens the file, or creates it.
 *
 * A commit returns when it is on the disk (`synchronous = full`). With `normal`, a power failure could take back the
 * last commits. The states and their checkpoint would still agree, but records in PostgreSQL would not: a finished
 * chunk of a backfill, an erased person, a removed view.
 *
 * Removed and replaced bytes are overwritten with zeros (`secure_delete`).
 *
 * @throws LockstepError as `openEmbeddedStore`
 */
export function openEmbeddedFile(directory: string): EmbeddedFile {
  const file = join(directory, fileName)
  const db = guarded(directory, () => {
    makePrivate(directory)
    const opened = new sqlite.DatabaseSync(file, { timeout: busyMs })
    try {
      useWriteAheadLog(opened)
      opened.exec('PRAGMA synchronous = full; PRAGMA mmap_size = 2000000000; PRAGMA secure_delete = on')
      // without these, macOS does not wait for the disk
      opened.exec('PRAGMA fullfsync = on; PRAGMA checkpoint_fullfsync = on')
      opened.exec(`PRAGMA journal_size_limit = ${logBytes}`)
      // with rowids: large values are read faster than from the tree of the keys
      opened.exec('CREATE TABLE IF NOT EXISTS states (key BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL) STRICT')
      requireStates(opened, file)
      // SQLite creates its file readable for all users
      closeFolder(directory, embeddedFiles)
      opened.exec('PRAGMA busy_timeout = 0')
      return opened
    } catch (error) {
      opened.close()
      throw error
    }
  })
  const inode = inodeOf(file)
  const begin = { read: db.prepare('BEGIN'), write: db.prepare('BEGIN IMMEDIATE') }
  const commit = db.prepare('COMMIT')
  const truncateLog = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
  let lastTurn: Promise<unknown> = Promise.resolve()

  async function whenFree<T>(run: () => T): Promise<T> {
    const until = performance.now() + busyMs
    for (;;) {
      try {
        return run()
      } catch (error) {
        if (sqliteCode(error) !== busy || performance.now() > until) throw failure(directory, error)
      }
      await shortPause()
    }
  }

  function whenPresent<T>(run: () => T): Promise<T> {
    return whenFree(() => {
      if (inodeOf(file) === inode) return run()
      throw new LockstepError(
        'EMBEDDED_DAMAGED',
        `The online store in "${directory}" was deleted or replaced while this process had it open. Restart this process.`,
        { details: { directory } },
      )
    })
  }

  return {
    prepare: (sql) => db.prepare(sql),
    whenFree,
    whenPresent,
    inTurn(run) {
      const result = lastTurn.then(() => whenPresent(run))
      lastTurn = result.catch(() => {})
      return result
    },
    transaction(kind, run) {
      begin[kind].run()
      try {
        const result = run()
        commit.run()
        return result
      } catch (error) {
        // a full disk has rolled it back already
        if (db.isTransaction) db.exec('ROLLBACK')
        throw error
      }
    },
    async emptyLog() {
      const until = performance.now() + logMs
      while (guarded(directory, () => truncateLog.get()?.['busy'] === 1) && performance.now() < until) await shortPause()
    },
    async close() {
      await lastTurn
      if (db.isOpen) db.close()
    },
  }
}

/** Node 22 warns that its SQLite is experimental. Users cannot act on that, so this one warning is not printed. */
async function importSqlite(): Promise<typeof import('node:sqlite')> {
  const emit = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: readonly unknown[]): void => {
    if (rest[0] !== 'ExperimentalWarning' || !String(warning).startsWith('SQLite ')) Reflect.apply(emit, undefined, [warning, ...rest])
  }
  try {
    return await import('node:sqlite')
  } finally {
    process.emitWarning = emit
  }
}

/**
 * A file becomes one with a write-ahead log only while nobody else uses it, and SQLite does not wait for that. So of
 * several processes that create it at once, all but one try again.
 */
function useWriteAheadLog(db: DatabaseSync): void {
  const until = performance.now() + busyMs
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = wal')
      return
    } catch (error) {
      if (sqliteCode(error) !== busy || performance.now() > until) throw error
      Atomics.wait(pause, 0, 0, Math.random() * 10)
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4))

/** @throws LockstepError `CONFIG_INVALID` if the file belongs to another program */
function requireStates(db: DatabaseSync, file: string): void {
  const columns = db
    .prepare("SELECT name FROM pragma_table_info('states')")
    .all()
    .map(({ name }) => String(name))
  if (columns.join() === 'key,bytes') return
  throw new LockstepError(
    'CONFIG_INVALID',
    `The file "${file}" is not an online store of Lockstep: its table "states" has the columns ${quotedNames(columns)}. Move the file, or set LOCKSTEP_DIR to another folder.`,
    { details: { file } },
  )
}

/** 1 to 5 ms, at random: processes that wait for each other do not try at the same moments. */
function shortPause(): Promise<void> {
  return delay(1 + Math.random() * 4)
}

function guarded<T>(directory: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw failure(directory, error)
  }
}

function failure(directory: string, cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  const known = folderFailure(directory, cause)
  if (known !== null) return known
  const code = sqliteCode(cause) ?? 0
  if (damages.has(code)) return damaged(directory, 'online store', messageOf(cause), cause)
  if (code === busy) {
    const text = `Another process has been writing to the online store in "${directory}" for ${busyMs / 1000} s. Try again when it has finished.`
    return new LockstepError('BUSY', text, { cause, details: { directory } })
  }
  return new LockstepError(
    'WRITE_FAILED',
    `The online store in "${directory}" cannot be used: ${messageOf(cause)}. Check that its files can be read and written, and that its disk has space.`,
    { cause },
  )
}

function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino
}
