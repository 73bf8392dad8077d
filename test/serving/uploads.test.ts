import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { asyncProperty, assert as checkProperty, integer, record, array } from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKey } from '../../registry/keys/api-keys.ts'
import { createUploads } from '../../serving/uploads/uploads.ts'
import { budget } from '../budget.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

const limitBytes = 3_000_000

let world: World
let url: string
let folder: string

beforeAll(async () => {
  world = await createWorld('embedded')
  folder = await mkdtemp(join(tmpdir(), 'lockstep-uploads-'))
  const served = await world.serve({ config: { bodyLimitBytes: 100_000, filesDirectory: folder, uploadLimitBytes: limitBytes } })
  url = served.url
  await until(async () => (await fetch(`${url}/v1/models`)).ok)
})
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

interface Answer {
  readonly status: number
  readonly offset: number
  readonly body: { readonly id: string; readonly offset: number; readonly error?: { readonly code: string; readonly message: string } }
}

async function send(method: string, path: string, headers: Record<string, string> = {}, body?: Uint8Array<ArrayBuffer>): Promise<Answer> {
  const response = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })
  const text = await response.text()
  const offset = Number(response.headers.get('upload-offset') ?? -1)
  return { status: response.status, offset, body: text === '' ? {} : JSON.parse(text) }
}

const announce = (length: number, query = ''): Promise<Answer> => send('POST', `/v1/uploads${query}`, { 'upload-length': String(length) })
const patch = (id: string, offset: number, body: Uint8Array<ArrayBuffer>): Promise<Answer> =>
  send('PATCH', `/v1/uploads/${id}`, { 'upload-offset': String(offset) }, body)
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Announces all bytes from an offset on, sends some of them, and cuts the connection. */
async function breakOff(id: string, bytes: Uint8Array, offset: number, sent: number): Promise<void> {
  const { port } = new URL(url)
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  const rest = bytes.subarray(offset)
  socket.write(`PATCH /v1/uploads/${id} HTTP/1.1\r\nhost: localhost\r\nupload-offset: ${offset}\r\ncontent-length: ${rest.length}\r\n\r\n`)
  await new Promise((resolve) => socket.write(rest.subarray(0, sent), resolve))
  socket.destroy()
}

describe('an upload', () => {
  it('that breaks off at any offset continues there, and has the bytes that were sent', async () => {
    const cuts = array(record({ sent: integer({ min: 0, max: 300_000 }), whole: integer({ min: 1, max: 200_000 }) }), { maxLength: 4 })
    await checkProperty(
      asyncProperty(integer({ min: 1, max: 700_000 }), cuts, async (length, steps) => {
        const bytes = randomBytes(length)
        const { body } = await announce(length, `?name=rows.csv&sha256=${sha256(bytes)}`)
        let offset = 0
        for (const { sent, whole } of steps) {
          await breakOff(body.id, bytes, offset, sent)
          // the server may still be writing what arrived; the next request ends that
          const asked = await send('HEAD', `/v1/uploads/${body.id}`)
          if (asked.offset === length) break
          const sentOn = await patch(body.id, asked.offset, new Uint8Array(bytes.subarray(asked.offset, asked.offset + whole)))
          expect([204, 409]).toContain(sentOn.status)
          offset = (await send('GET', `/v1/uploads/${body.id}`)).body.offset
          if (offset === length) break
        }
        await until(async () => {
          offset = (await send('HEAD', `/v1/uploads/${body.id}`)).offset
          return offset === length || (await patch(body.id, offset, new Uint8Array(bytes.subarray(offset)))).status === 204
        })
        expect(sha256(await readFile(join(folder, 'uploads', body.id, 'file', 'rows.csv')))).toBe(sha256(bytes))
        expect((await send('DELETE', `/v1/uploads/${body.id}`)).status).toBe(204)
      }),
      { numRuns: budget(100) },
    )
    expect(await readdir(join(folder, 'uploads'))).toEqual([])
  })

  it('can be sent in one request, whose body is the file', async () => {
    const sent = await send('POST', `/v1/uploads?sha256=${sha256(Buffer.from('abc'))}`, {}, new Uint8Array(Buffer.from('abc')))
    expect(sent).toMatchObject({ status: 201, offset: 3, body: { length: 3, name: 'upload' } })
    await send('DELETE', `/v1/uploads/${sent.body.id}`)
  })

  it('that breaks off in its first request leaves nothing, as nobody knows its id', async () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write('POST /v1/uploads HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\nabc')
    await until(async () => (await readdir(join(folder, 'uploads'))).length === 1)
    socket.destroy()
    await until(async () => (await readdir(join(folder, 'uploads'))).length === 0)
  })

  it('with another hash than announced is refused and removed', async () => {
    const { body } = await announce(3, `?sha256=${'0'.repeat(64)}`)
    expect(await patch(body.id, 0, new Uint8Array([1, 2, 3]))).toMatchObject({ status: 422, body: { error: { code: 'UPLOAD_DAMAGED' } } })
    expect((await send('GET', `/v1/uploads/${body.id}`)).status).toBe(404)
  })

  it('takes no part for another offset, and no more bytes than announced', async () => {
    const { body } = await announce(3)
    expect(await patch(body.id, 1, new Uint8Array([1]))).toMatchObject({ status: 409, body: { error: { code: 'UPLOAD_CONFLICT' } } })
    expect(await patch(body.id, 0, new Uint8Array([1, 2, 3, 4]))).toMatchObject({
      status: 413,
      body: { error: { code: 'BODY_TOO_LARGE' } },
    })
    const chunked = await fetch(`${url}/v1/uploads/${body.id}`, {
      method: 'PATCH',
      headers: { 'upload-offset': '0' },
      body: new Blob([new Uint8Array(9)]).stream(),
      duplex: 'half',
    })
    expect(chunked.status).toBe(413)
    await send('DELETE', `/v1/uploads/${body.id}`)
  })

  it.each([
    ['POST', '/v1/uploads', 'Upload-Length', '-1'],
    ['PATCH', '/v1/uploads/00000000-0000-4000-8000-000000000000', 'Upload-Offset', 'abc'],
  ])('with a size that is no number is refused by the name of the header: %s %s', async (method, path, header, value) => {
    const message = `The header "${header}" is "${value}"; send a whole number of bytes.`
    expect(await send(method, path, { [header]: value })).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_REQUEST', message } },
    })
  })

  it('that is too large is refused, also together with others', async () => {
    expect(await announce(limitBytes + 1)).toMatchObject({ status: 413, body: { error: { code: 'BODY_TOO_LARGE' } } })
    const [first, second] = await Promise.all([announce(2_000_000), announce(2_000_000)])
    expect(new Set([first.status, second.status])).toEqual(new Set([201, 507]))
    for (const { status, body } of [first, second]) if (status === 201) await send('DELETE', `/v1/uploads/${body.id}`)
  })

  it('gives way to a newer request, if the client of the earlier one may be gone', async () => {
    const bytes = randomBytes(100_000)
    const { body } = await announce(bytes.length, `?sha256=${sha256(bytes)}`)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`PATCH /v1/uploads/${body.id} HTTP/1.1\r\nhost: localhost\r\nupload-offset: 0\r\ncontent-length: ${bytes.length}\r\n\r\n`)
    socket.write(bytes.subarray(0, 1000))
    const path = join(folder, 'uploads', body.id, 'file', 'upload')
    await until(async () => (await readFile(path)).length === 1000)
    const answered = once(socket, 'data')
    expect(await patch(body.id, 1000, new Uint8Array(bytes.subarray(1000)))).toMatchObject({ status: 204, offset: bytes.length })
    expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 409 /)
    socket.destroy()
    await send('DELETE', `/v1/uploads/${body.id}`)
  })

  it.each(['../x', 'a/b', '..', '.', `${'語'.repeat(84)}.csv`])('cannot be called "%s"', async (name) => {
    expect((await announce(1, `?name=${encodeURIComponent(name)}`)).status).toBe(400)
  })

  it('is removed a day after its last byte, and not before', async () => {
    const own = join(folder, 'old')
    const uploads = createUploads({ folder: own, limitBytes })
    const [old, fresh] = [
      await uploads.create({ length: 2, name: 'a', sha256: null }),
      await uploads.create({ length: 2, name: 'b', sha256: null }),
    ]
    const dayAgo = Date.now() / 1000 - 24 * 3600 - 60
    await utimes(old.path, dayAgo, dayAgo)
    expect(await uploads.removeOld(Date.now())).toBe(1)
    expect(await readdir(own)).toEqual([fresh.id])
  })

  it('goes on at another server that shares the folder', async () => {
    const shared = { folder: join(folder, 'shared'), limitBytes }
    const [one, other] = [createUploads(shared), createUploads(shared)]
    const bytes = (text: string) => () => Readable.from([Buffer.from(text)])
    const { id } = await one.create({ length: 4, name: 'a', sha256: sha256(Buffer.from('abcd')) })
    await one.append(id, 0, bytes('ab'))
    expect(await other.append(id, 2, bytes('cd'))).toMatchObject({ offset: 4 })
    expect(await one.use(id, ({ path }) => readFile(path, 'utf8'))).toBe('abcd')
    await expect(other.find(id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('whose server was killed before it checked the hash is checked when it is used', async () => {
    const uploads = createUploads({ folder: join(folder, 'unchecked'), limitBytes })
    const { id, path } = await uploads.create({ length: 2, name: 'a', sha256: '0'.repeat(64) })
    await expect(uploads.use(id, () => Promise.resolve())).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
    await writeFile(path, 'ab')
    await expect(uploads.use(id, () => Promise.resolve())).rejects.toMatchObject({ code: 'UPLOAD_DAMAGED' })
  })

  it('needs a key with the scope of admins, once there are keys', async () => {
    const request = { name: 'reader', requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
    const { text } = await createKey(world.db, { ...request, scopes: ['read', 'push', 'predict'] })
    await until(async () => (await announce(1)).status === 401)
    for (const path of [
      '/v1/uploads',
      '/v1/registry/plan',
      '/v1/registry/apply',
      '/v1/registry/prune',
      '/v1/models/delay/versions',
      '/v1/sources/landings/files',
    ]) {
      expect(await send('POST', path, { 'x-api-key': text }), path).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN' } } })
    }
  })
})
