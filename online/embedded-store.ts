import { randomUUID } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { open } from 'lmdb'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import { damaged, folderFailure } from '../runtime/embedded-failure.ts'
import { closeFolder, makePrivate } from '../runtime/private-folder.ts'
import type { OnlineKey, OnlineStore } from './store.ts'

const keysPerRemoval = 10_000
/** No view's name starts with a zero byte. */
const identityKey = Buffer.from('\0store', 'latin1')
/** LMDB's file begins with two pages of at least 4 KiB that contain this mark. */
const pageBytes = 4096
const markOffset = 24
const mark = 0xbeef_c0de
/**
 * LMDB's PAGE_NOTFOUND, CORRUPTED, PANIC, VERSION_MISMATCH, INVALID, PAGE_FULL, BAD_RSLOT, BAD_TXN, BAD_VALSIZE,
 * BAD_DBI.
 */
const damages = new Set([-30_797, -30_796, -30_795, -30_794, -30_793, -30_786, -30_783, -30_782, -30_781, -30_780])

/**
 * An online store in a local folder (LMDB), the embedded default. The keys of a view are contiguous, in the order of
 * the entities:
 *
 *     VIEW@VERSION 0x00 ENTITY 0x1f KEY BYTES
 *
 * @throws LockstepError `WRITE_FAILED` where the folder cannot be written, `EMBEDDED_DAMAGED` where its files are not
 *   LMDB's
 */
export function openEmbeddedStore(directory: string): OnlineStore {
  const db = guarded(directory, () => {
    makePrivate(directory)
    refuseForeign(directory)
    const opened = open<Buffer, Buffer>({ path: directory, encoding: 'binary', keyEncoding: 'binary', noSubdir: false, cache: false })
    // LMDB creates its files readable for all users
    closeFolder(directory, ['data.mdb', 'lock.mdb'])
    return opened
  })
  const transaction = <T>(run: () => T): T => guarded(directory, () => db.transactionSync(run))
  let closing: Promise<void> | null = null

  return {
    kind: 'embedded',

    async identity() {
      return transaction(() => {
        const present = db.getBinary(identityKey)
        if (present !== undefined) return present.toString('latin1')
        const made = randomUUID()
        db.putSync(identityKey, Buffer.from(made, 'latin1'))
        return made
      })
    },

    async read(keys) {
      // Without this, a read sees the data of the beginning of this turn of the event loop, not what another process
      // has written since.
      return guarded(directory, () => {
        db.resetReadTxn()
        return keys.map((key) => {
          const found = db.getBinaryFast(embeddedKey(key))
          return found === undefined ? null : copyOf(found)
        })
      })
    },

    async write(entries) {
      if (entries.length === 0) return []
      return transaction(() =>
        entries.map((entry) => {
          const key = embeddedKey(entry)
          const present = db.getBinaryFast(key)
          const free =
            present === undefined
              ? entry.expected === null
              : entry.expected !== null && Buffer.compare(present.subarray(0, entry.expected.length), entry.expected) === 0
          if (free && entry.expected !== null && entry.bytes.length === 0) db.removeSync(key)
          else if (free) db.putSync(key, entry.bytes)
          return free
        }),
      )
    },

    async removeView(view, kept, around = async (step) => (await step(), true)) {
      const keep = kept === undefined ? null : embeddedKey(kept)
      let removed = 0
      let met = keysPerRemoval
      const step = async (): Promise<number> => {
        const unwanted = transaction(() => {
          const keys = [...db.getKeys({ ...rangeOf(view), limit: keysPerRemoval })]
          met = keys.length
          const gone = keep === null ? keys : keys.filter((key) => !keep.equals(key))
          for (const key of gone) db.removeSync(key)
          return gone.length
        })
        removed += unwanted
        return unwanted
      }
      while ((await around(step)) && met === keysPerRemoval) await setImmediate() // others have their turn
      return removed
    },

    primaries: async () => ['embedded'],

    async ping() {
      guarded(directory, () => {
        db.resetReadTxn()
        db.getBinaryFast(identityKey)
      })
    },

    async close() {
      closing ??= db.close()
      await closing
    },
  }
}

/**
 * LMDB maps its file into memory and ends the process if it is not its own. So the mark of the first page is checked
 * before.
 */
function refuseForeign(directory: string): void {
  const file = openSync(join(directory, 'data.mdb'), 'a+')
  try {
    const head = Buffer.alloc(2 * pageBytes)
    const bytes = readSync(file, head, 0, head.length, 0)
    if (bytes === 0 || (bytes === head.length && head.readUInt32LE(markOffset) === mark)) return
    throw damaged(directory, 'online store', '"data.mdb" is not an LMDB file', null)
  } finally {
    closeSync(file)
  }
}

/**
 * Of a buffer that the next look-up writes over; in memory that many share, which is read faster than many of their
 * own.
 */
function copyOf(found: Buffer): Buffer {
  const copy = Buffer.allocUnsafe(found.length)
  found.copy(copy, 0, 0, copy.length)
  return copy
}

function embeddedKey({ view, entity, key }: OnlineKey): Buffer {
  return Buffer.from(`${view}\0${entity}\x1f${key}`, 'latin1')
}

function rangeOf(view: DefinitionId): { start: Buffer; end: Buffer } {
  return { start: Buffer.from(`${view}\0`, 'latin1'), end: Buffer.from(`${view}\x01`, 'latin1') }
}

function guarded<T>(directory: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    const known = folderFailure(directory, cause)
    if (known !== null) throw known
    if (cause instanceof Error && 'code' in cause && damages.has(Number(cause.code)))
      throw damaged(directory, 'online store', messageOf(cause), cause)
    throw new LockstepError(
      'WRITE_FAILED',
      `The online store in "${directory}" cannot be written: ${messageOf(cause)}. Check that the folder is writable and that its disk has space.`,
      { cause },
    )
  }
}
