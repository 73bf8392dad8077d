import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { damaged, folderFailure, sqliteCode } from '../runtime/embedded-failure.ts'
import { closeFolder, makePrivate } from '../runtime/private-folder.ts'
import type { OnlineKey, OnlineStore, OnlineWrite } from './store.ts'

const sqlite = await importSqlite()
const fileName = 'states.sqlite'
/** SQLite's file, its write-ahead log and the index of this log. */
const embeddedFiles: readonly string[] = [fileName, `${fileName}-wal`, `${fileName}-shm`]
const keysPerRemoval = 1_000
/** How long a writer waits for another process to end its transaction. */
const busyMs = 30_000
/** No view's name starts with a zero byte. */
const identityKey = Buffer.from('\0store', 'latin1')
/** SQLite's codes CORRUPT and NOTADB. */
const damages = new Set([11, 26])
const busy = 5

/**
 * An online store in a local folder (SQLite), the embedded default. Several processes may open it. The keys of a view
 * are contiguous, in the order of the entities:
 *
 *     VIEW@VERSION 0x00 ENTITY 0x1f KEY BYTES
 *
 * A commit returns when it is on the disk (`synchronous = full`). With `normal`, a power failure could take back the
 * last commits. The states and their checkpoint would still agree, but records in PostgreSQL would not: a finished
 * chunk of a backfill, an erased person, a removed view.
 *
 * @throws LockstepError `WRITE_FAILED` where the folder cannot be written, `EMBEDDED_DAMAGED` where its file is not
 *   SQLite's
 */
export function openEmbeddedStore(directory: string): OnlineStore {
  const db = guarded(directory, () => {
    makePrivate(directory)
    const opened = new sqlite.DatabaseSync(join(directory, fileName), { timeout: busyMs })
    try {
      useWriteAheadLog(opened)
      opened.exec('PRAGMA synchronous = full; PRAGMA mmap_size = 2000000000')
      // with rowids: large values are read faster than from the tree of the keys
      opened.exec('CREATE TABLE IF NOT EXISTS states (key BLOB PRIMARY KEY NOT NULL, bytes BLOB NOT NULL) STRICT')
      // SQLite creates its file readable for all users
      closeFolder(directory, embeddedFiles)
      return opened
    } catch (error) {
      opened.close()
      throw error
    }
  })
  const [begin, beginWrite, commit] = [db.prepare('BEGIN'), db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT')]
  const select = db.prepare('SELECT bytes FROM states WHERE key = ?')
  select.setReturnArrays(true)
  const insert = db.prepare('INSERT INTO states VALUES (?, ?) ON CONFLICT DO NOTHING')
  const update = db.prepare('UPDATE states SET bytes = ?3 WHERE key = ?1 AND substr(bytes, 1, length(?2)) = ?2')
  const remove = db.prepare('DELETE FROM states WHERE key = ? AND substr(bytes, 1, length(?2)) = ?2')
  const removeSome = db.prepare(`
    DELETE FROM states WHERE rowid IN (SELECT rowid FROM states WHERE key >= ? AND key < ? AND key IS NOT ? LIMIT ${keysPerRemoval})`)

  function stored(key: Buffer): Buffer | null {
    const row = select.get(key) as unknown as readonly [Uint8Array] | undefined
    return row === undefined ? null : Buffer.from(row[0].buffer, row[0].byteOffset, row[0].byteLength)
  }

  /** What it runs sees one state of the store. */
  function transaction<T>(start: typeof begin, run: () => T): T {
    start.run()
    try {
      const result = run()
      commit.run()
      return result
    } catch (error) {
      // a full disk has rolled it back already
      if (db.isTransaction) db.exec('ROLLBACK')
      throw error
    }
  }

  function stores({ expected, bytes, ...entry }: OnlineWrite): boolean {
    const key = embeddedKey(entry)
    if (expected === null) return insert.run(key, bytes).changes === 1
    return (bytes.length === 0 ? remove.run(key, expected) : update.run(key, expected, bytes)).changes === 1
  }

  return {
    kind: 'embedded',

    async identity() {
      return guarded(directory, () => {
        const present = stored(identityKey)
        if (present !== null) return present.toString('latin1')
        insert.run(identityKey, Buffer.from(randomUUID(), 'latin1'))
        return String(stored(identityKey))
      })
    },

    async read(keys) {
      return guarded(directory, () => {
        const all = (): (Buffer | null)[] => keys.map((key) => stored(embeddedKey(key)))
        return keys.length < 2 ? all() : transaction(begin, all)
      })
    },

    async write(entries) {
      return entries.length === 0 ? [] : guarded(directory, () => transaction(beginWrite, () => entries.map(stores)))
    },

    async removeView(view, kept, around = async (step) => (await step(), true)) {
      const [start, end] = [`${view}\0`, `${view}\x01`].map((text) => Buffer.from(text, 'latin1')) as [Buffer, Buffer]
      const keep = kept === undefined ? null : embeddedKey(kept)
      let removed = 0
      let last = keysPerRemoval
      const step = async (): Promise<number> => {
        last = Number(guarded(directory, () => removeSome.run(start, end, keep)).changes)
        removed += last
        return last
      }
      while ((await around(step)) && last === keysPerRemoval) await setImmediate() // others have their turn
      return removed
    },

    primaries: async () => ['embedded'],

    async ping() {
      guarded(directory, () => stored(identityKey))
    },

    async close() {
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

function embeddedKey({ view, entity, key }: OnlineKey): Buffer {
  return Buffer.from(`${view}\0${entity}\x1f${key}`, 'latin1')
}

function guarded<T>(directory: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    const known = folderFailure(directory, cause)
    if (known !== null) throw known
    if (damages.has(sqliteCode(cause) ?? 0)) throw damaged(directory, 'online store', messageOf(cause), cause)
    throw new LockstepError(
      'WRITE_FAILED',
      `The online store in "${directory}" cannot be written: ${messageOf(cause)}. Check that the folder is writable and that its disk has space.`,
      { cause },
    )
  }
}
