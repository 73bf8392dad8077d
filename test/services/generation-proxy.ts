import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Service } from './keeper.ts'

const unchanged = new Set(['connection', 'content-length', 'host', 'keep-alive', 'transfer-encoding'])

/**
 * Forwards requests to an emulator of Google Cloud Storage, except those whose `ifGenerationMatch` does not hold: they
 * get 412. The condition of a resumable upload holds for each of its requests
 * (https://cloud.google.com/storage/docs/request-preconditions).
 */
export async function startGenerationProxy(emulator: string): Promise<Service> {
  /** The objects that conditional uploads must not replace, by the place of the upload. */
  const uploads = new Map<string, string>()
  const server = createServer((request, response) => {
    answer(request).then(
      ({ status, headers, body }) => response.writeHead(status, headers).end(body),
      (error: unknown) => response.writeHead(502).end(String(error)),
    )
  })

  async function answer(request: IncomingMessage): Promise<{ status: number; headers: Record<string, string>; body: Buffer }> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const asked = new URL(request.url ?? '/', emulator)
    const wanted = asked.searchParams.get('ifGenerationMatch')
    const begins = asked.searchParams.get('uploadType') === 'resumable' && !asked.searchParams.has('upload_id')
    const object = begins ? objectPath(asked) : asked.pathname
    const guarded = uploads.get(asked.searchParams.get('upload_id') ?? '')
    const refused = { status: 412, headers: {}, body: Buffer.from('{"error":{"message":"a condition does not hold"}}') }
    if (wanted !== null && (await generationOf(object)) !== wanted) return refused
    if (guarded !== undefined && request.method === 'PUT' && (await generationOf(guarded)) !== '0') return refused
    const sent = Object.entries(request.headers).filter(([name]) => !unchanged.has(name)) as [string, string][]
    const forwarded = await fetch(asked, {
      method: request.method ?? 'GET',
      headers: sent,
      ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
    })
    const headers = Object.fromEntries([...forwarded.headers].filter(([name]) => !unchanged.has(name) && name !== 'content-encoding'))
    const place = headers['location']
    if (place !== undefined) {
      const { pathname, search, searchParams } = new URL(place, emulator)
      headers['location'] = `${urlOf()}${pathname}${search}`
      if (begins && wanted === '0') uploads.set(searchParams.get('upload_id') ?? '', object)
    }
    return { status: forwarded.status, headers, body: Buffer.from(await forwarded.arrayBuffer()) }
  }

  /** `0`: there is no such object. */
  async function generationOf(path: string): Promise<string> {
    const response = await fetch(`${emulator}${path}`)
    if (!response.ok) return '0'
    return String(((await response.json()) as { generation: string | number }).generation)
  }

  function urlOf(): string {
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: urlOf(),
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The path of the object that an upload names. */
function objectPath({ pathname, searchParams }: URL): string {
  return `${pathname.replace('/upload', '')}/${encodeURIComponent(searchParams.get('name') ?? '')}`
}
