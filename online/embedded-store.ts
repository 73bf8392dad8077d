import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import { openEmbeddedFile } from './embedded-file.ts'
import type { OnlineKey, OnlineStore, OnlineWrite } from './store.ts'
import { checkpointEntity } from './store.ts'

const keysPerRemoval = 1_000
const keysPerPage = 1_000
/** No view's name starts with a zero byte. */
const identityKey = Buffer.from('\0store', 'latin1')

/**
 * An online store in a local folder (SQLite), the embedded default. Several processes may open it. The keys of a view
 * are contiguous, in the order of the entities:
 *
 *     VIEW@VERSION 0x00 ENTITY 0x1f KEY BYTES
 *
 * @throws LockstepError `CONFIG_INVALID` for a file of another program, `WRITE_FAILED` where the folder cannot be
 *   written, `EMBEDDED_DAMAGED` where its file is not SQLite's, was deleted or replaced, `BUSY` where another process
 *   writes for longer than a writer waits. The methods throw the same errors.
 */
export function openEmbeddedStore(directory: string): OnlineStore {
  const file = openEmbeddedFile(directory)
  const select = file.prepare('SELECT bytes FROM states WHERE key = ?')
  select.setReturnArrays(true)
  const insert = file.prepare('INSERT INTO states VALUES (?, ?) ON CONFLICT DO NOTHING')
  const update = file.prepare('UPDATE states SET bytes = ?3 WHERE key = ?1 AND substr(bytes, 1, length(?2)) = ?2')
  const remove = file.prepare('DELETE FROM states WHERE key = ? AND substr(bytes, 1, length(?2)) = ?2')
  const removeSome = file.prepare(`
    DELETE FROM states WHERE rowid IN (SELECT rowid FROM states WHERE key >= ? AND key < ? AND key IS NOT ? LIMIT ${keysPerRemoval})`)
  const someKeys = file.prepare(`SELECT key FROM states WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ${keysPerPage}`)
  someKeys.setReturnArrays(true)
  const sizeOfPage = file.prepare(`
    SELECT count(*) AS states, sum(length(key) + length(bytes)) AS bytes, max(key) AS last
    FROM (SELECT key, bytes FROM states WHERE key > ? AND key < ? AND key IS NOT ? ORDER BY key LIMIT ${keysPerPage})`)

  function stored(key: Buffer): Buffer | null {
    const row = select.get(key) as unknown as readonly [Uint8Array] | undefined
    return row === undefined ? null : Buffer.from(row[0].buffer, row[0].byteOffset, row[0].byteLength)
  }

  function stores({ expected, bytes, ...entry }: OnlineWrite): boolean {
    const key = embeddedKey(entry)
    if (expected === null) return insert.run(key, bytes).changes === 1
    return (bytes.length === 0 ? remove.run(key, expected) : update.run(key, expected, bytes)).changes === 1
  }

  async function sizeOf(view: DefinitionId): Promise<readonly [states: number, bytes: number]> {
    const checkpoint = embeddedKey({ view, entity: checkpointEntity, key: '' })
    const [start, end] = boundsOf(view)
    let [last, states, bytes] = [start, 0, 0]
    for (;;) {
      const page = await file.whenPresent(() => sizeOfPage.get(last, end, checkpoint))
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
      const present = await file.whenPresent(() => stored(identityKey))
      if (present !== null) return present.toString('latin1')
      await file.inTurn(() => insert.run(identityKey, Buffer.from(randomUUID(), 'latin1')))
      return String(stored(identityKey))
    },

    async read(keys) {
      const all = (): (Buffer | null)[] => keys.map((key) => stored(embeddedKey(key)))
      return file.whenFree(() => (keys.length < 2 ? all() : file.transaction('read', all)))
    },

    async write(entries) {
      if (entries.length === 0) return []
      const done = await file.inTurn(() => file.transaction('write', () => entries.map(stores)))
      if (entries.some(({ bytes }, i) => done[i] === true && bytes.length === 0)) await file.emptyLog()
      return done
    },

    async removeView(view, kept, around = async (step) => (await step(), true)) {
      const [start, end] = boundsOf(view)
      const keep = kept === undefined ? null : embeddedKey(kept)
      let removed = 0
      let last = keysPerRemoval
      const step = async (): Promise<number> => {
        last = Number((await file.inTurn(() => removeSome.run(start, end, keep))).changes)
        removed += last
        return last
      }
      while ((await around(step)) && last === keysPerRemoval) await setImmediate() // others have their turn
      if (removed > 0) await file.emptyLog()
      return removed
    },

    async *keys(view, entity) {
      const start = embeddedKey({ view, entity, key: '' })
      const end = Buffer.from(start).fill(0x20, start.length - 1) // the byte after the separator
      let from = start
      for (;;) {
        const rows = await file.whenPresent(() => someKeys.all(from, end))
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
      await file.whenPresent(() => stored(identityKey))
      return []
    },

    close: () => file.close(),
  }
}

/** All keys of a view lie between these. */
function boundsOf(view: DefinitionId): [Buffer, Buffer] {
  return [Buffer.from(`${view}\0`, 'latin1'), Buffer.from(`${view}\x01`, 'latin1')]
}

function embeddedKey({ view, entity, key }: OnlineKey): Buffer {
  return Buffer.from(`${view}\0${entity}\x1f${key}`, 'latin1')
}
