import type { EventEmitter } from 'node:events'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import type { ClientHttp2Session, Settings } from 'node:http2'
import { connect as connectHttp2, constants } from 'node:http2'
import { get } from 'node:https'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { sendUnaryData, ServiceError } from '@grpc/grpc-js'
import { credentials, Metadata, Server, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createKey } from '../../../registry/keys/api-keys.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { OnlineStore } from '../../../online/store.ts'
import { createLogger } from '../../../runtime/log.ts'
import { createGrpcListener, createGrpcPatrol } from '../../../serving/protocols/grpc/grpc-listener.ts'
import type { GrpcCaller } from './transports.ts'
import { openGrpc, openGrpcService } from './transports.ts'
import type { OipWorld } from './world.ts'
import { createOipWorld } from './world.ts'

let world: OipWorld
let caller: GrpcCaller
beforeAll(async () => {
  world = await createOipWorld(10_000)
  caller = openGrpc(world.grpc)
})
afterAll(async () => {
  caller?.[Symbol.dispose]()
  await world?.close()
})

const features = { name: 'features', datatype: 'FP32', shape: [1, 3] }
const raw = Buffer.from('0000803f0000004000004040', 'hex')
const contents = { fp32_contents: [1, 2, 3] }
const echo = { model_name: 'echo', model_version: '1' }

/** The status and message with which a call is refused. */
async function refused(call: Promise<unknown>): Promise<{ code: status; details: string }> {
  try {
    await call
  } catch (error) {
    const { code, details } = error as { code: status; details: string }
    return { code, details }
  }
  throw new Error('it was not refused')
}

/** The metadata that an answer begins with, of those that are ours, and its error. */
async function answered(method: string, request: unknown, sent: Readonly<Record<string, string>>) {
  const unary = (caller.client as unknown as Record<string, (...args: unknown[]) => NodeJS.EventEmitter>)[method]
  const metadata = new Metadata()
  for (const [key, value] of Object.entries(sent)) metadata.set(key, value)
  return await new Promise<{ head: Record<string, unknown>; error: ServiceError | null }>((resolve) => {
    let head: Record<string, unknown> = {}
    unary
      ?.call(caller.client, request, metadata, (error: ServiceError | null) => resolve({ head, error }))
      .once('metadata', (began: Metadata) => {
        const { 'content-type': _, date: __, ...ours } = began.getMap()
        head = ours
      })
  })
}

describe('the Open Inference Protocol over gRPC', () => {
  it('describes the server and its models', async () => {
    expect(await caller.ask('ServerLive', {})).toEqual({ live: true })
    expect(await caller.ask('ServerReady', {})).toEqual({ ready: true })
    expect(await caller.ask('ServerMetadata', {})).toMatchObject({ name: 'lockstep', extensions: ['binary_tensor_data', 'parameters'] })
    expect(await caller.ask('ModelReady', { name: 'echo', version: '2' })).toEqual({ ready: true })
    expect(await caller.ask('ModelMetadata', { name: 'echo', version: '1' })).toEqual({
      name: 'echo',
      versions: ['1', '2'],
      platform: 'onnx_onnxv1',
      inputs: [{ name: 'features', datatype: 'FP32', shape: ['-1', '3'] }],
      outputs: [{ name: 'out', datatype: 'FP32', shape: ['-1', '3'] }],
    })
    const { models } = await caller.ask('RepositoryIndex', { ready: true })
    expect(models).toContainEqual({ name: 'echo', version: '2', state: 'READY', reason: '' })
    expect(await refused(caller.ask('ModelReady', { name: 'ecko' }))).toEqual({
      code: status.NOT_FOUND,
      details: expect.stringContaining('ecko'),
    })
    expect((await refused(caller.ask('ModelMetadata', { name: 'echo', version: '7' }))).code).toBe(status.NOT_FOUND)
  })

  it('answers typed contents typed and raw ones raw', async () => {
    const typed = await caller.ask('ModelInfer', { ...echo, id: '7', inputs: [{ ...features, contents }] })
    expect(typed).toMatchObject({ model_name: 'echo', model_version: '1', id: '7', raw_output_contents: [] })
    expect(typed['outputs'][0]).toMatchObject({ name: 'out', datatype: 'FP32', shape: ['1', '3'], contents })
    const bytes = await caller.ask('ModelInfer', { ...echo, inputs: [features], raw_input_contents: [raw] })
    expect(bytes['raw_output_contents']).toEqual([raw])
    expect(bytes['outputs'][0].contents).toBeNull()
    const half = await caller.ask('ModelInfer', {
      model_name: 'echo',
      inputs: [{ ...features, contents }],
      outputs: [{ name: 'f16' }, { name: 'out' }],
    })
    expect(half['raw_output_contents']).toEqual([Buffer.from('003c00400042', 'hex'), raw])
  })

  it.each([
    ['raw and typed at once', { inputs: [{ ...features, contents }], raw_input_contents: [raw] }, 'both contents and raw_input_contents'],
    ['more raw inputs than inputs', { inputs: [features], raw_input_contents: [raw, raw] }, '1 inputs and 2 raw_input_contents'],
    ['a size below zero', { inputs: [{ ...features, shape: [-1, 3], contents }] }, 'cannot be negative'],
    ['contents in another field', { inputs: [{ ...features, contents: { fp64_contents: [1, 2, 3] } }] }, 'fp32_contents'],
    ['no contents', { inputs: [features] }, '0 elements'],
    [
      'an input twice',
      {
        inputs: [
          { ...features, contents },
          { ...features, contents },
        ],
      },
      'named twice',
    ],
    [
      'too many outputs',
      { inputs: [{ ...features, contents }], outputs: Array.from({ length: 1001 }, () => ({ name: 'out' })) },
      'at most 1000 of each',
    ],
    ['a shape of too many sizes', { inputs: [{ ...features, shape: Array(33).fill(1), contents }] }, 'at most 32'],
  ])('refuses %s', async (_, request, says) => {
    expect(await refused(caller.ask('ModelInfer', { ...echo, ...request }))).toEqual({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(says),
    })
  })

  it('refuses a call without a model, as proto3 reads it', async () => {
    for (const [method, field] of [
      ['ModelInfer', 'model_name'],
      ['ModelMetadata', 'name'],
      ['ModelReady', 'name'],
    ] as const) {
      expect(await refused(caller.ask(method, {}))).toEqual({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining(`send the name in "${field}"`),
      })
    }
    const { code, details } = await refused(caller.ask('ModelInfer', { ...echo, inputs: [{}] }))
    expect([code, details]).toEqual([status.INVALID_ARGUMENT, expect.not.stringContaining('undefined')])
  })

  it('cuts an error that echoes much, so that it keeps its status', async () => {
    const { code, details } = await refused(caller.ask('ModelReady', { name: '\u{1f600}'.repeat(2000) }))
    expect(code).toBe(status.NOT_FOUND)
    expect(details.length).toBeLessThanOrEqual(800)
    expect(details.isWellFormed()).toBe(true)
  })

  it('returns a valid x-request-id, else a new one', async () => {
    const idOf = async (sent: string) => (await answered('ServerLive', {}, { 'x-request-id': sent })).head['x-request-id']
    expect(await idOf('mine')).toBe('mine')
    expect(await idOf('x'.repeat(4000))).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('takes up a traceparent, in answers, in errors and in the log', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const parentId = '00f067aa0ba902b7'
    const sent = { traceparent: `00-${traceId}-${parentId}-01`, 'x-request-id': 'traced-over-grpc' }
    const ours = new RegExp(`^00-${traceId}-(?!${parentId})[0-9a-f]{16}-01$`)
    expect(await answered('ServerLive', {}, sent)).toEqual({
      head: { 'x-request-id': 'traced-over-grpc', traceparent: expect.stringMatching(ours) },
      error: null,
    })

    const { head, error } = await answered('ModelReady', { name: 'ecko' }, sent)
    expect(error?.code).toBe(status.NOT_FOUND)
    expect(head).toMatchObject({ 'x-request-id': 'traced-over-grpc', traceparent: expect.stringMatching(ours) })
    expect(error?.metadata.getMap()).toMatchObject(head)
    const line = world.logged.find((each) => each.includes('a request was refused') && each.includes('traced-over-grpc'))
    const spanId = String(head['traceparent']).split('-')[2]
    expect(JSON.parse(line ?? '{}')).toMatchObject({ traceId, spanId, parentId, code: 'UNKNOWN_DEFINITION' })
  })

  it('starts a trace for an invalid traceparent, and reports none without a header', async () => {
    const { head } = await answered('ServerLive', {}, { traceparent: 'nonsense' })
    expect(head['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    expect(Object.keys((await answered('ServerLive', {}, {})).head)).toEqual(['x-request-id'])

    await answered('ModelReady', { name: 'ecko' }, { 'x-request-id': 'untraced' })
    const line = world.logged.find((each) => each.includes('a request was refused') && each.includes('untraced'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/), parentId: null })
  })

  it('refuses a message over the limit of bodies', async () => {
    const long = { ...features, shape: [1000, 3] }
    const call = caller.ask('ModelInfer', { ...echo, inputs: [long], raw_input_contents: [Buffer.alloc(12_000)] })
    expect(await refused(call)).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: 'The body is over the limit of 10000 bytes; send less in one request, or raise LOCKSTEP_BODY_LIMIT_BYTES.',
    })
    expect(await caller.ask('ServerLive', {})).toEqual({ live: true })
  })

  it('refuses a port that is taken, naming its setting', async () => {
    const { port } = new URL(`http://${world.grpc}`)
    await expect(world.serve({}, { grpcPort: Number(port) })).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining('LOCKSTEP_GRPC_PORT'),
    })
  })
})

describe('a slow call', () => {
  let reads = 0
  /** The world's store, whose reads take 400 ms. */
  const slow = async (): Promise<OnlineStore> => {
    const store = world.openStore()
    return {
      ...store,
      read: async (...args) => {
        reads++
        await wait(400)
        return await store.read(...args)
      },
    }
  }
  const entity = {
    ...echo,
    inputs: [
      { name: 'airport', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from('ATL')] } },
      { name: 'distance', datatype: 'FP64', shape: [1], contents: { fp64_contents: [100] } },
    ],
  }

  it('fails after its timeout or deadline, and finishes when the server closes', async () => {
    const { server, url, grpcPort } = await world.serve({ store: slow, drainMs: 60_000 }, { grpcPort: 0 })
    await server.whenReady()
    using slowly = openGrpc(`127.0.0.1:${grpcPort}`)
    const timeout = { parameters: { timeout: { int64_param: 30_000 } } }
    expect(await refused(slowly.ask('ModelInfer', { ...entity, ...timeout }))).toEqual({
      code: status.DEADLINE_EXCEEDED,
      details: expect.stringContaining('30000 microseconds'),
    })
    expect((await refused(slowly.ask('ModelInfer', entity, { deadlineMs: 60 }))).code).toBe(status.DEADLINE_EXCEEDED)
    const inputs = [
      { name: 'airport', datatype: 'BYTES', shape: [1], data: ['ATL'] },
      { name: 'distance', datatype: 'FP64', shape: [1], data: [100] },
    ]
    const tensors = [{ name: 'features', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }]
    for (let i = 0; i < 5; i++) {
      const hurried = JSON.stringify({ parameters: { timeout: 1 }, inputs: tensors })
      expect((await fetch(`${url}/v2/models/echo/infer`, { method: 'POST', body: hurried })).status).toBe(504)
    }
    const late = await fetch(`${url}/v2/models/echo/infer`, {
      method: 'POST',
      body: JSON.stringify({ parameters: { timeout: 30_000 }, inputs }),
    })
    expect([late.status, await late.json()]).toEqual([504, { error: expect.stringContaining('30000 microseconds') }])

    const before = reads
    const underWay = slowly.ask('ModelInfer', entity)
    await expect.poll(() => reads, { interval: 10 }).toBeGreaterThan(before)
    const closing = server.close()
    expect((await underWay)['outputs'][0].contents.fp32_contents).toEqual([25, 1, 0.25])
    await closing
    expect((await refused(slowly.ask('ServerLive', {}))).code).toBe(status.UNAVAILABLE)
  })
})

describe('the gateway, over gRPC', () => {
  const call = { ...echo, inputs: [features], raw_input_contents: [raw] }
  const code = async (asked: Promise<unknown>) => (await refused(asked)).code

  it('requires a key with the scope, and applies its row limit', async () => {
    const make = async (scopes: readonly Scope[], rowsPerSecond: number | null = null) => {
      const { text } = await createKey(world.db, { name: '', scopes, requestsPerSecond: null, rowsPerSecond, expiresAt: null })
      return { authorization: `Bearer ${text}` }
    }
    const [predict, read, narrow] = [await make(['predict']), await make(['read']), await make(['predict'], 1)]
    const { server, grpcPort } = await world.serve({ config: { bodyLimitBytes: 10_000, auth: 'required' } }, { grpcPort: 0 })
    await server.whenReady()
    using guarded = openGrpc(`127.0.0.1:${grpcPort}`)

    expect(await guarded.ask('ServerLive', {})).toEqual({ live: true })
    expect(await code(guarded.ask('ModelInfer', call))).toBe(status.UNAUTHENTICATED)
    expect(await code(guarded.ask('ModelInfer', call, { metadata: { authorization: 'Bearer lockstep_sk_made_up' } }))).toBe(
      status.UNAUTHENTICATED,
    )
    expect(await code(guarded.ask('ModelInfer', call, { metadata: read }))).toBe(status.PERMISSION_DENIED)
    // it may take long to decode
    expect(await code(guarded.send('ModelInfer', Buffer.from('2a00'.repeat(4001), 'hex')))).toBe(status.UNAUTHENTICATED)
    expect(await code(guarded.send('ModelInfer', Buffer.from([0x0b])))).toBe(status.UNAUTHENTICATED)
    expect(await guarded.ask('ModelInfer', call, { metadata: predict })).toMatchObject({ raw_output_contents: [raw] })
    expect(await guarded.ask('ModelReady', { name: 'echo' }, { metadata: read })).toEqual({ ready: true })
    const wide = { ...echo, inputs: [{ ...features, shape: [500, 3] }], raw_input_contents: [Buffer.alloc(6000)] }
    // what is more than is there is lent once
    await guarded.ask('ModelInfer', wide, { metadata: narrow })
    expect(await refused(guarded.ask('ModelInfer', call, { metadata: narrow }))).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: expect.stringContaining('rows per second') as string,
    })
  })
})

describe('the services of gRPC itself', () => {
  it('report the state of the server and each model, and each change', async () => {
    const { server, grpcPort } = await world.serve({}, { grpcPort: 0 })
    await server.whenReady()
    using health = openGrpcService(`127.0.0.1:${grpcPort}`, 'health', 'grpc.health.v1.Health')
    // a slow check of a dependency may make the server unready for a while
    for (const service of ['', 'inference.GRPCInferenceService', 'echo', 'strict'])
      await expect.poll(() => health.ask('Check', { service })).toEqual({ status: 'SERVING' })
    await expect
      .poll(() => refused(health.ask('Check', { service: 'ecko' })))
      .toEqual({ code: status.NOT_FOUND, details: expect.stringContaining('"ecko"') as string })
    const watch = (service: string) => {
      const call = health.stream('Watch', { service })
      const statuses: string[] = []
      call.on('data', ({ status: reported }: { status: string }) => statuses.push(reported))
      return { statuses, ended: new Promise((resolve) => call.once('error', resolve)) }
    }
    const [unknown, known] = [watch('ecko'), watch('')]
    await expect.poll(() => unknown.statuses.at(-1)).toBe('SERVICE_UNKNOWN')
    await expect.poll(() => known.statuses.at(-1)).toBe('SERVING')
    await server.close()
    expect(await known.ended).toMatchObject({ code: status.UNAVAILABLE })
    expect(known.statuses.at(-1)).toBe('NOT_SERVING')
  })

  it.each(['v1', 'v1alpha'])('describe what the server has to tools (reflection %s)', async (version) => {
    using reflection = openGrpcService(world.grpc, 'reflection', 'grpc.reflection.v1.ServerReflection', version)
    const tell = async (asked: object) => {
      const call = reflection.stream('ServerReflectionInfo')
      call.write(asked)
      const [answer] = await once(call, 'data')
      call.end()
      await once(call, 'end')
      return answer as Record<string, Record<string, unknown>>
    }
    expect((await tell({ list_services: '' }))['list_services_response']).toEqual({
      service: ['inference.GRPCInferenceService', 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'].map((name) => ({ name })),
    })
    const file = (await tell({ file_containing_symbol: 'inference.GRPCInferenceService.ModelInfer' }))['file_descriptor_response']
    const [bytes] = (file?.['file_descriptor_proto'] ?? []) as Buffer[]
    expect(bytes?.includes('raw_input_contents')).toBe(true)
    expect((await tell({ file_by_filename: 'inference.proto' }))['file_descriptor_response']).toEqual(file)
    expect((await tell({ file_containing_symbol: 'no.such' }))['error_response']).toMatchObject({ error_code: status.NOT_FOUND })
    expect((await tell({ all_extension_numbers_of_type: 'x' }))['error_response']).toMatchObject({ error_code: status.NOT_FOUND })
  })

  it('stop reading reflection requests of a client that does not read the answers', async () => {
    const client = connectHttp2(`http://${world.grpc}`)
    const call = client.request({
      ':method': 'POST',
      ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    call.on('error', () => undefined)
    // field 3, the name of a file, in a frame of gRPC's
    const request = Buffer.from('\0\0\0\0\x11\x1a\x0finference.proto', 'latin1')
    call.write(Buffer.concat(Array<Buffer>(10_000).fill(request)))
    await once(call, 'response')
    for (let i = 0; i < 200; i++) await caller.ask('ServerLive', {})
    expect(call.writableLength).toBeGreaterThan(0)
    client.destroy()
  })
})

describe('a gRPC connection', () => {
  const open = async (port: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    await once(socket, 'connect')
    return socket.resume()
  }
  const session = (port: number): ClientHttp2Session => connectHttp2(`http://127.0.0.1:${port}`).on('error', () => undefined)
  const head = {
    ':method': 'POST',
    ':path': '/inference.GRPCInferenceService/ServerLive',
    'content-type': 'application/grpc',
    te: 'trailers',
  }

  it('is closed if it makes no call in time or is one too many, and has few calls', async () => {
    const config = { bodyLimitBytes: 10_000, grpcMaxStreams: 7, grpcMaxConnections: 3 }
    const { grpcPort } = await world.serve({ config, headMs: 4000, requestMs: 6000 }, { grpcPort: 0 })
    const port = grpcPort ?? 0
    const [calling, greeting, silent] = [session(port), session(port), await open(port)]
    const [settings] = (await once(calling, 'remoteSettings')) as [Settings]
    expect(settings.maxConcurrentStreams).toBe(7)
    const half = calling.request(head)
    half.on('error', () => undefined)
    const told = once(half, 'response')

    const tooMany = await open(port)
    if (!tooMany.closed) await once(tooMany, 'close')
    await vi.waitUntil(() => world.logged.some((line) => line.includes('LOCKSTEP_GRPC_MAX_CONNECTIONS')), 60_000)

    if (!silent.closed) await once(silent, 'close')
    if (!greeting.closed) await once(greeting, 'close')
    expect((await told)[0]['grpc-status']).toBe(String(status.DEADLINE_EXCEEDED))
    expect(calling.closed).toBe(false)
    calling.destroy()
  })

  it('stays open if a call is answered after its client has ended it', async () => {
    const patrol = createGrpcPatrol({ firstCallMs: 60_000, requestMs: 300 })
    const server = new Server({ interceptors: [patrol.interceptor] })
    const answered = new Promise<void>((resolve) => {
      server.register(
        head[':path'],
        (call: EventEmitter, callback: sendUnaryData<Buffer>) => {
          call.once('cancelled', () => {
            callback(null, Buffer.alloc(0))
            resolve()
          })
        },
        (each: Buffer) => each,
        (each) => each,
        'unary',
      )
    })
    const settings = { connected: patrol.connected, maxConnections: 10, tls: null, firstCallMs: 60_000, log: createLogger('silent') }
    const listener = createGrpcListener(server, settings)
    const calling = session(await listener.listen('127.0.0.1', 0))
    const ended = calling.request(head)
    ended.on('error', () => undefined)
    ended.end(Buffer.alloc(5))
    await once(ended, 'ready')
    await new Promise((resolve) => calling.ping(resolve))
    ended.close(constants.NGHTTP2_CANCEL)
    await answered

    // is cut by a look that comes when the other one is over its time as well
    const half = calling.request(head)
    const [told] = await Promise.race([once(half, 'response'), once(calling, 'close')])
    expect(told?.['grpc-status']).toBe(String(status.DEADLINE_EXCEEDED))
    calling.destroy()
    listener.stop()
    patrol.close()
    server.forceShutdown()
  })
})

describe('TLS', () => {
  it('applies to HTTP and gRPC, with the new certificate once its files change', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-tls-'))
    const tls = { cert: join(folder, 'a.crt'), key: join(folder, 'a.key') }
    const pem = (name: string) => readFileSync(join(import.meta.dirname, '../../runtime/tls', name))
    const put = async (name: string) => {
      await writeFile(tls.cert, pem(`${name}.crt`))
      await writeFile(tls.key, pem(`${name}.key`), { mode: 0o600 })
    }
    const subjectOf = async (port: number): Promise<string | undefined> => {
      const socket = connectTls({ host: '127.0.0.1', port, ca: [pem('first.crt'), pem('second.crt')], ALPNProtocols: ['h2', 'http/1.1'] })
      await once(socket, 'secureConnect')
      const { CN } = socket.getPeerCertificate().subject
      socket.destroy()
      return [CN].flat()[0]
    }
    await put('first')
    const config = { bodyLimitBytes: 10_000, auth: 'off', tls } as const
    const { server, url, grpcPort } = await world.serve({ config, headMs: 5000 }, { grpcPort: 0 })
    await server.whenReady()
    expect(url).toMatch(/^https:/)
    const ports = [Number(new URL(url).port), grpcPort ?? 0]
    // those that shake no hands, and what is no TLS, are closed
    const strangers = ports.flatMap((port) => ['', '\x16\x03\x01', 'GET / HTTP/1.1\r\n\r\n'].map((sent) => [port, sent] as const))
    const closed = strangers.map(async ([port, sent]) => {
      const socket = connect(port, '127.0.0.1').on('error', () => undefined)
      await once(socket, 'connect')
      socket.write(sent)
      await once(socket.resume(), 'close')
    })
    const asking = get(`${url}/readyz`, { ca: pem('first.crt'), agent: false })
    const [answer] = (await once(asking, 'response')) as [IncomingMessage]
    expect([answer.statusCode, JSON.parse(await text(answer))]).toMatchObject([200, { ready: true }])
    using secure = openGrpc(`localhost:${grpcPort}`, credentials.createSsl(pem('first.crt')))
    expect(await secure.ask('ModelInfer', { ...echo, inputs: [features], raw_input_contents: [raw] })).toMatchObject({ model_name: 'echo' })
    using plain = openGrpc(`127.0.0.1:${grpcPort}`)
    expect((await refused(plain.ask('ServerLive', {}))).code).toBe(status.UNAVAILABLE)

    await put('second')
    await vi.waitUntil(async () => (await Promise.all(ports.map(subjectOf))).every((name) => name === 'second.test'), 60_000)
    // what is open goes on
    expect(await secure.ask('ServerLive', {})).toEqual({ live: true })
    await Promise.all(closed)
    await server.close()
    await rm(folder, { recursive: true })
  })
})
