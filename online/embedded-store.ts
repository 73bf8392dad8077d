import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { damaged, folderFailure, sqliteCode } from '../runtime/embedded/embedded-failure.ts'
import { closeFolder, makePrivate } from '../runtime/private-folder.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { quotedNames } from '../kernel/values/quoted-names.ts'
import type { OnlineKey, OnlineStore, OnlineWrite } from './store.ts'
import { checkpointEntity } from './store.ts'

const sqlite = await importSqlite()
const fileName = 'states.sqlite'
/** SQLite's file, its write-ahead log and the index of this log. */
const embeddedFiles: readonly string[] = [fileName, `${fileName}-wal`, `${fileName}-shm`]
const keysPerRemoval = 1_000
const keysPerPage = 1_000
/** How long a writer waits for another process to end its transaction. */
const busyMs = 30_000
/** How long a removal waits for readers of the log, which it then empties. */
const logMs = 1_000
/** The size that the log keeps when it begins again. */
const logBytes = 64_000_000
/** No view's name starts with a zero byte. */
const identityKey = Buffer.from('\0store', 'latin1')
/** SQLite's codes CORRUPT and NOTADB. */
const damages = new Set([11, 26])
const busy = 5

/**
 * An online store in a local folder (SQLite), the embedded default. Several processes may open it. Where SQLite finds
 * the file locked, the store tries again by a timer: SQLite itself would block the event loop. The keys of a view are
 * contiguous, in the order of the entities:
 *
 *     VIEW@VERSION 0x00 ENTITY 0x1f KEY BYTES
 *
 * A commit returns when it is on the disk (`synchronous = full`). With `normal`, a power failure could take back the
 * last commits. The states and their checkpoint would still agree, but records in PostgreSQL would not: a finished
 * chunk of a backfill, an erased person, a removed view.
 *
 * Removed and replaced bytes are overwritten with zeros in the file (`secure_delete`). The log is emptied after a
 * removal, because it has earlier states.
 *
 * @throws LockstepError `CONFIG_INVALID` for a file of another program, `WRITE_FAILED` where the folder cannot be
 *   written, `EMBEDDED_DAMAGED` where its file is not SQLite's, was deleted or replaced, `BUSY` where another process
 *   writes for longer than a writer waits. The methods throw the same errors.
 */
export function openEmbeddedStore(directory: string): OnlineStore {
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
  const [begin, beginWrite, commit] = [db.prepare('BEGIN'), db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT')]
  const select = db.prepare('SELECT bytes FROM states WHERE key = ?')
  select.setReturnArrays(true)
  const insert = db.prepare('INSERT INTO states VALUES (?, ?) ON CONFLICT DO NOTHING')
  const update = db.prepare('UPDATE states SET bytes = ?3 WHERE key = ?1 AND substr(bytes, 1, length(?2)) = ?2')
  const remove = db.prepare('DELETE FROM states WHERE key = ? AND substr(bytes, 1, length(?2)) = ?2')
  const removeSome = db.prepare(`
    DELETE FROM states WHERE rowid IN (SELECT rowid FROM states WHERE key >= ? AND key < ? AND key IS NOT ? LIMIT ${keysPerRemoval})`)
  const someKeys = db.prepare(`SELECT key FROM states WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ${keysPerPage}`)
  someKeys.setReturnArrays(true)
  const sizeOfPage = db.prepare(`
    SELECT count(*) AS states, sum(length(key) + length(bytes)) AS bytes, max(key) AS last
    FROM (SELECT key, bytes FROM states WHERE key > ? AND key < ? AND key IS NOT ? ORDER BY key LIMIT ${keysPerPage})`)
  const emptyLog = db.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
  let lastWrite: Promise<unknown> = Promise.resolve()

  /** Without the file, SQLite goes on with one that no other process sees. */
  function requireFile(): void {
    if (inodeOf(file) === inode) return
    throw new LockstepError(
      'EMBEDDED_DAMAGED',
      `The online store in "${directory}" was deleted or replaced while this process had it open. Restart this process.`,
      { details: { directory } },
    )
  }

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

  function storedIdentity(): Buffer | null {
    requireFile()
    return stored(identityKey)
  }

  /** Runs in the order of the calls, so that a caller does not overtake one that waits for another process. */
  function inTurn<T>(run: () => T): Promise<T> {
    const attempt = (): T => (requireFile(), run())
    const result = lastWrite.then(() => whenFree(directory, attempt))
    lastWrite = result.catch(() => {})
    return result
  }

  /** The states of before a removal leave the log. If others use it all the time, the next checkpoint does that. */
  async function forget(): Promise<void> {
    const until = performance.now() + logMs
    while (guarded(directory, () => emptyLog.get()?.['busy'] === 1) && performance.now() < until) await shortPause()
  }

  async function sizeOf(view: DefinitionId): Promise<readonly [states: number, bytes: number]> {
    const checkpoint = embeddedKey({ view, entity: checkpointEntity, key: '' })
    const [start, end] = boundsOf(view)
    let [last, states, bytes] = [start, 0, 0]
    for (;;) {
      const page = await whenFree(directory, () => (requireFile(), sizeOfPage.get(last, end, checkpoint)))
      if (!(page?.['last'] instanceof Uint8Array)) return [states, bytes]
      states += Number(page['states'])
      bytes += Number(page['bytes'])
      last = Buffer.from(page['last'])
      await setImmediate() // others have their turn
    }
  }

  return {
    kind: 'embedded',

    async identity() {
      const present = await whenFree(directory, storedIdentity)
      if (present !== null) return present.toString('latin1')
      await inTurn(() => insert.run(identityKey, Buffer.from(randomUUID(), 'latin1')))
      return String(stored(identityKey))
    },

    async read(keys) {
      const all = (): (Buffer | null)[] => keys.map((key) => stored(embeddedKey(key)))
      return whenFree(directory, () => (keys.length < 2 ? all() : transaction(begin, all)))
    },

    async write(entries) {
      if (entries.length === 0) return []
      const done = await inTurn(() => transaction(beginWrite, () => entries.map(stores)))
      if (entries.some(({ bytes }, i) => done[i] === true && bytes.length === 0)) await forget()
      return done
    },

    async removeView(view, kept, around = async (step) => (await step(), true)) {
      const [start, end] = boundsOf(view)
      const keep = kept === undefined ? null : embeddedKey(kept)
      let removed = 0
      let last = keysPerRemoval
      const step = async (): Promise<number> => {
        last = Number((await inTurn(() => removeSome.run(start, end, keep))).changes)
        removed += last
        return last
      }
      while ((await around(step)) && last === keysPerRemoval) await setImmediate() // others have their turn
      if (removed > 0) await forget()
      return removed
    },

    async *keys(view, entity) {
      const start = embeddedKey({ view, entity, key: '' })
      const end = Buffer.from(start).fill(0x20, start.length - 1) // the byte after the separator
      let from = start
      for (;;) {
        const rows = await whenFree(directory, () => (requireFile(), someKeys.all(from, end)))
        const keys = (rows as unknown as readonly (readonly [Uint8Array])[]).map(([key]) => Buffer.from(key))
        const last = keys.at(-1)
        if (last === undefined) return
        yield keys.map((key) => key.toString('latin1', start.length))
        from = Buffer.concat([last, Buffer.of(0)]) // the next key in the order of bytes
        await setImmediate() // others have their turn
      }
    },

    async sizes(views) {
      const byView = new Map<DefinitionId, { states: number; bytes: number }>()
      for (const view of views) {
        const [states, bytes] = await sizeOf(view)
        byView.set(view, { states, bytes })
      }
      return { sampled: null, byView }
    },

    primaries: async () => ['embedded'],

    async ping() {
      await whenFree(directory, storedIdentity)
      return []
    },

    async close() {
      await lastWrite
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

const pause = new Int32Array(new SharedArrayBuffer(4))

/** All keys of a view lie between these. */
function boundsOf(view: DefinitionId): [Buffer, Buffer] {
  return [Buffer.from(`${view}\0`, 'latin1'), Buffer.from(`${view}\x01`, 'latin1')]
}

function embeddedKey({ view, entity, key }: OnlineKey): Buffer {
  return Buffer.from(`${view}\0${entity}\x1f${key}`, 'latin1')
}

/** Runs it again while another process has the lock that it needs. */
async function whenFree<T>(directory: string, run: () => T): Promise<T> {
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
