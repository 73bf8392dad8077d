import type { IncomingHttpHeaders } from 'node:http'
import { request } from 'node:http'
import { issueCode } from '../../../registry/keys/dashboard-sessions.ts'
import type { Database } from '../../../runtime/postgres/database.ts'

export interface Seen {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  // a test checks the members that it expects
  readonly body: {
    readonly data?: unknown
    readonly asOf?: string
    readonly notes?: readonly string[]
    readonly error?: { readonly code: string; readonly message: string; readonly details?: unknown }
  }
}

export interface Visit {
  readonly method?: string
  /** null: the header is left out. */
  readonly headers?: Readonly<Record<string, string | null>>
  readonly body?: unknown
}

/** Sends requests as a page of the dashboard does, with any header in another way. */
export interface Visitor {
  /** Of the server. */
  readonly url: string
  ask(path: string, visit?: Visit): Promise<Seen>
  /** The data of a page, by its path below `/ui/api`. */
  data(path: string): Promise<unknown>
  /** Acts as a page does that shows this version. */
  post(path: string, body: object, ifMatch?: string): Promise<Seen>
  /** Logs in, and sends the cookie from then on. */
  login(db: Database, how?: { readonly key: string }): Promise<Seen>
  /** As the cookie has it. */
  cookie: string | null
}

export function createVisitor(url: string): Visitor {
  const { port, host } = new URL(url)
  const visitor: Visitor = {
    url,
    cookie: null,
    ask: (path, { method = 'GET', headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const own: Readonly<Record<string, string | null>> = {
          host,
          'x-lockstep-ui': '1',
          'sec-fetch-site': 'same-origin',
          cookie: visitor.cookie,
          ...(method === 'GET' ? {} : { origin: `http://${host}`, 'content-type': 'application/json' }),
          ...headers,
        }
        const sent = Object.fromEntries(Object.entries(own).flatMap(([name, value]) => (value === null ? [] : [[name, value]])))
        const outgoing = request({ host: '127.0.0.1', port, path, method, headers: sent, setHost: false }, (answer) => {
          const chunks: Buffer[] = []
          answer.on('data', (chunk: Buffer) => chunks.push(chunk))
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString()
            const isJson = answer.headers['content-type']?.startsWith('application/json') === true
            resolve({
              status: answer.statusCode ?? 0,
              headers: answer.headers,
              text,
              body: isJson ? (JSON.parse(text) as Seen['body']) : {},
            })
          })
          answer.on('error', reject)
        })
        outgoing.on('error', reject)
        outgoing.end(body === undefined ? undefined : JSON.stringify(body))
      }),
    data: async (path) => (await visitor.ask(`/ui/api${path}`)).body.data,
    post: (path, body, ifMatch) =>
      visitor.ask(`/ui/api${path}`, { method: 'POST', body, headers: ifMatch === undefined ? {} : { 'if-match': ifMatch } }),
    async login(db, how) {
      const body = how === undefined ? { code: await issueCode(db, 'ann@laptop') } : {}
      const headers = how === undefined ? {} : { authorization: `Bearer ${how.key}` }
      const seen = await visitor.ask('/ui/session', { method: 'POST', headers, body })
      visitor.cookie = seen.headers['set-cookie']?.[0]?.split(';')[0] ?? null
      return seen
    },
  }
  return visitor
}
