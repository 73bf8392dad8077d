import { createHash, randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { ObjectStore, ObjectWriter, StoredObject } from '../../../runtime/storage/object-store.ts'
import { sha256Of } from '../../../runtime/storage/object-store.ts'

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Bytes that repeat with no short period, so that a part out of place is seen. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE(Math.imul(i + 1, 2_654_435_761) >>> 0, i)
  return bytes
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

async function all(objects: AsyncIterable<StoredObject>): Promise<StoredObject[]> {
  const found: StoredObject[] = []
  for await (const object of objects) found.push(object)
  return found
}

/** The contract of all object stores. `base` ends in a slash; nothing is below it. */
export function objectStoreContract(open: () => ObjectStore, base: () => string): void {
  const place = (): string => `${base()}${randomUUID()}/rows with spaces+&%41é.bin`

  async function put(url: string, bytes: Uint8Array, overwrite = false): Promise<StoredObject> {
    const writer = await open().write(url, { overwrite })
    await writer.write(bytes)
    await writer.seal()
    return await writer.commit()
  }

  async function begun(url: string, bytes: Uint8Array): Promise<ObjectWriter> {
    const writer = await open().write(url, { overwrite: false })
    await writer.write(bytes)
    await writer.seal()
    return writer
  }

  describe('reading', () => {
    it('reads what was written: all of it, and ranges', async () => {
      const url = place()
      const bytes = pattern(10_000)
      const written = await put(url, bytes)
      expect(written).toMatchObject({ url, bytes: 10_000 })
      expect(await open().head(url)).toEqual(written)
      expect(hashOf(await collect(open().stream(url)))).toBe(hashOf(bytes))
      for (const [from, to] of [
        [0, 4],
        [5000, 5001],
        [9992, 10_000],
      ] as const)
        expect(Buffer.from(await open().read(url, { from, to }))).toEqual(bytes.subarray(from, to))
      expect(await sha256Of(open(), written)).toBe(hashOf(bytes))
    })

    it('names an object that does not exist', async () => {
      const url = place()
      expect(await open().head(url)).toBeNull()
      const missing = { code: 'FILE_UNREADABLE', message: expect.stringContaining(url) as string }
      await expect(open().read(url, { from: 0, to: 1 })).rejects.toMatchObject(missing)
      await expect(collect(open().stream(url))).rejects.toMatchObject(missing)
      await open().remove(url)
    })

    it('refuses an object whose content has changed', async () => {
      const url = place()
      const { etag } = await put(url, Buffer.from('first'))
      const second = await put(url, Buffer.from('other'), true)
      expect(second.etag).not.toBe(etag)
      const changed = { code: 'FILE_CHANGED', message: expect.stringContaining(url) as string }
      await expect(open().read(url, { from: 0, to: 5 }, etag)).rejects.toMatchObject(changed)
      await expect(collect(open().stream(url, etag))).rejects.toMatchObject(changed)
      expect(Buffer.from(await open().read(url, { from: 0, to: 5 }, second.etag)).toString()).toBe('other')
    })
  })

  describe('writing', () => {
    it('writes an empty object, and one of many parts', async () => {
      const [empty, large] = [place(), place()]
      expect(await put(empty, new Uint8Array(0))).toMatchObject({ bytes: 0 })
      const bytes = pattern(20 * 2 ** 20 + 12)
      const writer = await open().write(large, { overwrite: false })
      for (let at = 0; at < bytes.length; at += 1_000_003) await writer.write(bytes.subarray(at, at + 1_000_003))
      expect(await writer.seal()).toEqual({ bytes: bytes.length, sha256: hashOf(bytes) })
      expect(await open().head(large)).toBeNull()
      const written = await writer.commit()
      expect(written.bytes).toBe(bytes.length)
      expect(await sha256Of(open(), written)).toBe(hashOf(bytes))
    })

    it('gives a name to the first of two writers', async () => {
      for (const bytes of [Buffer.from('small'), pattern(9 * 2 ** 20)]) {
        const url = place()
        const [first, second] = [await begun(url, bytes), await begun(url, Buffer.from(bytes).fill(1))]
        const written = await first.commit()
        await expect(second.commit()).rejects.toMatchObject({
          code: 'FILE_EXISTS',
          message: expect.stringContaining('already exists') as string,
        })
        expect(await open().head(url)).toEqual(written)
        expect(await sha256Of(open(), written)).toBe(hashOf(bytes))
      }
    })

    it('replaces an object only when asked', async () => {
      const url = place()
      await put(url, Buffer.from('first'))
      await expect(put(url, Buffer.from('second'))).rejects.toMatchObject({ code: 'FILE_EXISTS' })
      expect((await collect(open().stream(url))).toString()).toBe('first')
      await put(url, Buffer.from('second'), true)
      expect((await collect(open().stream(url))).toString()).toBe('second')
    })

    it('leaves nothing of an aborted object', async () => {
      const url = place()
      for (const length of [10, 9 * 2 ** 20]) {
        const writer = await open().write(url, { overwrite: false })
        await writer.write(pattern(length))
        await writer.abort()
        await writer.abort()
      }
      expect(await open().head(url)).toBeNull()
    })

    it('removes an object', async () => {
      const url = place()
      await put(url, Buffer.from('x'))
      await open().remove(url)
      expect(await open().head(url)).toBeNull()
    })
  })

  it('lists what begins with a prefix, in the order of names', async () => {
    const folder = `${base()}${randomUUID()}/`
    for (const name of ['b.parquet', 'day=2/a.parquet', 'day=1/é.parquet', 'day=1/z.parquet'])
      await put(`${folder}${name}`, Buffer.from(name))
    const listed = await all(open().list(folder))
    expect(listed.map(({ url }) => decodeURI(url.slice(folder.length)))).toEqual([
      'b.parquet',
      'day=1/z.parquet',
      'day=1/é.parquet',
      'day=2/a.parquet',
    ])
    for (const object of listed) expect(await open().head(object.url)).toMatchObject({ etag: object.etag, bytes: object.bytes })
    expect((await all(open().list(`${folder}day=1/`))).length).toBe(2)
    expect(await all(open().list(`${folder}none/`))).toEqual([])
  })
}
