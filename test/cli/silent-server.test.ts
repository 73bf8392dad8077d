import type { Server as HttpServer, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { downloadFile } from '../../cli/remote/download-file.ts'
import type { Server } from '../../cli/remote/server.ts'
import { connectServer } from '../../cli/remote/server.ts'
import { unlessStalled } from '../unless-slow.ts'

/** A server that lives answers in this time, also on a busy machine. */
const silenceMs = 1_000
/** It is of this process, so it is silent while the process stands still. */
const stallMs = silenceMs / 3
const opened: HttpServer[] = []
afterAll(async () => {
  for (const http of opened) {
    http.closeAllConnections()
    await new Promise((resolve) => http.close(resolve))
  }
})

/** Connects to a new server. @returns also the paths that it is asked for */
async function connect(
  respond: (path: string, response: ServerResponse, paths: readonly string[]) => void,
): Promise<{ readonly server: Server; readonly paths: readonly string[] }> {
  const paths: string[] = []
  const http = createServer(({ url = '' }, response) => {
    paths.push(url)
    respond(url, response, paths)
  })
  opened.push(http)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return { paths, server: connectServer(url, { apiKey: null, signal: new AbortController().signal, silenceMs }) }
}

const anything = { parse: (json: unknown) => json }
const silent = {
  code: 'SERVER_UNAVAILABLE',
  message: expect.stringContaining('it accepts connections, and sent nothing for 2 s') as string,
}
const live = (response: ServerResponse) => response.end('{"live":true}')

describe.concurrent('a request to a silent server', () => {
  it('fails for a server that accepts connections and never answers', async () => {
    const { server, paths } = await connect(() => undefined)
    await expect(server.ask('GET', '/v1/models', undefined, anything)).rejects.toMatchObject(silent)
    expect(paths).toEqual(['/v1/models', '/livez'])
  })

  it('waits for work that takes longer, once, while the server lives', () =>
    unlessStalled(stallMs, async () => {
      const { server, paths } = await connect(
        (path, response) => void (path === '/livez' ? live(response) : delay(silenceMs * 4).then(() => response.end('{"done":1}'))),
      )
      expect(await server.ask('POST', '/v1/apply', {}, anything)).toEqual({ done: 1 })
      expect(paths.filter((path) => path !== '/livez')).toEqual(['/v1/apply'])
      expect(paths.length).toBeGreaterThan(2)
    }))

  it('fails for a server that stops in the middle of an answer, even if it has answered before', () =>
    unlessStalled(stallMs, async () => {
      const { server } = await connect((path, response) =>
        path === '/v1/first' ? live(response) : path === '/livez' ? undefined : response.write('{"half":'),
      )
      await server.ask('GET', '/v1/first', undefined, anything)
      await expect(server.ask('GET', '/v1/second', undefined, anything)).rejects.toMatchObject(silent)
    }))

  it('resumes a download from a server that sent nothing more', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-silent-'))
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    const { server } = await connect((path, response, paths) => {
      if (path !== '/file') return
      if (paths.filter((each) => each === '/file').length > 1) response.writeHead(206).end('c')
      else response.writeHead(200).write('ab')
    })
    const to = join(folder, 'rows.csv')
    let bytes = 0
    await downloadFile(server, { from: '/file', to, bytes: 3, sha256 }, (arrived) => (bytes += arrived))
    expect(bytes).toBe(3)
    expect(await readdir(folder)).toEqual(['rows.csv'])
    await rm(folder, { recursive: true })
  })
})

describe('a change whose answer is lost', () => {
  it.each(['POST', 'DELETE'] as const)('is sent again by %s with the same idempotency key', async (method) => {
    const keys: (string | undefined)[] = []
    const http = createServer(({ headers, socket }, response) => {
      if (keys.push(headers['idempotency-key'] as string | undefined) === 1) socket.destroy()
      else response.end('{"done":1}')
    })
    opened.push(http)
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
    const server = connectServer(url, { apiKey: null, signal: new AbortController().signal })
    expect(await server.ask(method, '/v1/models/fraud/pin', undefined, anything)).toEqual({ done: 1 })
    expect(keys).toEqual([expect.any(String), keys[0]])
  })
})
