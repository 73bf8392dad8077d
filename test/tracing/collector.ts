import { once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { loadSync } from '@grpc/proto-loader'

/** A span as a collector received it. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** '': it has no parent. */
  readonly parentId: string
  readonly state: string
  readonly name: string
  /** 1: internal, 2: server, 3: client, 5: consumer. */
  readonly kind: number
  /** Nanoseconds since 1970. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[]
  /** 0: not set, 2: error. */
  readonly status: number
  readonly resource: Readonly<Record<string, unknown>>
}

export interface Collector extends AsyncDisposable {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Of the requests received. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[]
  /** Resolves with all spans of the trace that has a root or server span of this name, when that is received. */
  trace(isLast: (span: ReceivedSpan) => boolean): Promise<readonly ReceivedSpan[]>
}

interface Message {
  readonly [field: string]: unknown
}

const service = loadSync(join(import.meta.dirname, 'trace-service.proto'), { longs: String, defaults: true, arrays: true, oneofs: true })

/**
 * A receiver of OTLP over HTTP that decodes protobuf by OpenTelemetry's own definition.
 *
 * @param answer what it does with a request instead of answering 200
 */
export async function openCollector(answer?: () => Promise<number>): Promise<Collector> {
  const spans: ReceivedSpan[] = []
  const requests: { path: string; headers: IncomingHttpHeaders }[] = []
  const waiting = new Set<() => void>()
  const server = createServer(async (request, response) => {
    const body = await buffer(request)
    requests.push({ path: request.url ?? '', headers: request.headers })
    const status = (await answer?.()) ?? 200
    if (status === 200) spans.push(...decoded(body))
    response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end()
    for (const check of waiting) check()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests,
    trace: (isLast) =>
      new Promise((resolve) => {
        const check = () => {
          const last = spans.find(isLast)
          if (last === undefined) return
          waiting.delete(check)
          resolve(spans.filter(({ traceId }) => traceId === last.traceId))
        }
        waiting.add(check)
        check()
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function decoded(body: Buffer): ReceivedSpan[] {
  const definition = service['opentelemetry.TraceService']
  const method = definition !== undefined && 'Export' in definition ? definition['Export'] : undefined
  if (method === undefined || !('requestDeserialize' in method)) throw new Error('The definition has no Export.')
  const { resourceSpans } = method.requestDeserialize(body) as Message
  return list(resourceSpans).flatMap(({ resource, scopeSpans }) =>
    list(scopeSpans).flatMap(({ spans }) =>
      list(spans).map((span) => ({
        traceId: hex(span['traceId']),
        spanId: hex(span['spanId']),
        parentId: hex(span['parentSpanId']),
        state: String(span['traceState']),
        name: String(span['name']),
        kind: Number(span['kind']),
        start: BigInt(String(span['startTimeUnixNano'])),
        end: BigInt(String(span['endTimeUnixNano'])),
        attributes: attributesOf(span['attributes']),
        events: list(span['events']).map((event) => ({ name: String(event['name']), attributes: attributesOf(event['attributes']) })),
        status: Number((span['status'] as Message | null)?.['code'] ?? 0),
        resource: attributesOf((resource as Message)['attributes']),
      })),
    ),
  )
}

const list = (value: unknown): readonly Message[] => value as readonly Message[]
const hex = (value: unknown): string => Buffer.from(value as Uint8Array).toString('hex')

function attributesOf(pairs: unknown): Record<string, unknown> {
  return Object.fromEntries(list(pairs).map(({ key, value }) => [String(key), valueOf(value as Message)]))
}

function valueOf(any: Message): unknown {
  const { value: kind } = any
  if (kind === 'intValue') return Number(any['intValue'])
  if (kind === 'arrayValue') return list((any['arrayValue'] as Message)['values']).map(valueOf)
  return any[String(kind)]
}
