import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface TestRegistry {
  readonly url: string
  /** How often schemas were asked for. */
  asked(): number
  /** Registers a schema under its subject. @returns its id */
  register(subject: string, schema: unknown, references?: readonly { name: string; subject: string; version: number }[]): Promise<number>
  /** Refuses schemas that are registered from now on, by an HTTP status; 0: does not. */
  refuse(status: number, message: string): void
  stop(): Promise<void>
  start(): Promise<void>
}

/**
 * A server of the part of Confluent's protocol that Lockstep reads, made for tests: no registry can be installed from
 * npm, PyPI or Debian. It checks no compatibility.
 *
 * @param authorization the header that it asks for; absent: none
 */
export async function testSchemaRegistry(authorization?: string): Promise<TestRegistry> {
  const schemas: { readonly schema: string }[] = []
  const subjects = new Map<string, number[]>()
  let asked = 0
  let refusal: [status: number, body: object] | null = null

  async function answer(request: IncomingMessage): Promise<[status: number, body: object]> {
    if (authorization !== undefined && request.headers.authorization !== authorization)
      return [401, { error_code: 401, message: 'Unauthorized' }]
    const path = request.url ?? ''
    const [, id] = /^\/schemas\/ids\/(\d+)$/.exec(path) ?? []
    if (id !== undefined) {
      asked++
      const schema = schemas[Number(id) - 1]
      return schema === undefined ? [404, { error_code: 40_403, message: `Schema ${id} not found` }] : [200, schema]
    }
    const [, subject = '', isVersions, version] = /^\/subjects\/([^/]+)(\/versions(?:\/(\d+))?)?$/.exec(path) ?? []
    const versions = subjects.get(decodeURIComponent(subject)) ?? []
    if (request.method === 'POST') {
      const sent = JSON.parse(await text(request)) as { readonly schema: string }
      const known = versions.find((id) => schemas[id - 1]?.schema === sent.schema)
      if (isVersions === undefined)
        return known === undefined ? [404, { error_code: 40_403, message: 'Schema not found' }] : [200, { id: known }]
      if (refusal !== null && refusal[0] !== 0) return refusal
      if (known !== undefined) return [200, { id: known }]
      schemas.push(sent)
      subjects.set(decodeURIComponent(subject), [...versions, schemas.length])
      return [200, { id: schemas.length }]
    }
    const found = versions[Number(version) - 1]
    if (found === undefined) return [404, { error_code: 40_401, message: 'Subject not found' }]
    return [200, { ...schemas[found - 1], subject, version: Number(version), id: found }]
  }

  const server = createServer((request, response) => {
    void (async () => {
      const [status, body] = await answer(request)
      response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' }).end(JSON.stringify(body))
    })()
  })
  const listen = async (port: number): Promise<void> => void (await once(server.listen(port, '127.0.0.1'), 'listening'))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    asked: () => asked,
    refuse: (status, message) => (refusal = [status, { error_code: status, message }]),
    async register(subject, schema, references) {
      const response = await fetch(`${url}/subjects/${encodeURIComponent(subject)}/versions`, {
        method: 'POST',
        headers: authorization === undefined ? {} : { authorization },
        body: JSON.stringify({ schema: JSON.stringify(schema), references }),
      })
      return ((await response.json()) as { id: number }).id
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    start: () => listen(port),
  }
}
