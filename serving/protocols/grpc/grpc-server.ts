import { join } from 'node:path'
import type { handleUnaryCall, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js'
import { logVerbosity, Metadata, Server, setLogVerbosity, status as grpcStatus } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import type { ServingContext } from '../../context.ts'
import { takeRows } from '../../traffic/authorize.ts'
import { requestIdOf } from '../../traffic/request-id.ts'
import { shownError } from '../../traffic/shown-error.ts'
import { beginRequest, traceOf, traceparent } from '../../traffic/trace.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import { checkModelReady, isReady, modelMetadata, repositoryIndex, serverMetadata } from '../oip/describe.ts'
import { errorType } from '../../../runtime/tracing/span.ts'
import { predictionBase } from '../../../monitoring/prediction-log/prediction-id.ts'
import { infer } from '../oip/infer.ts'
import { rowCount } from '../oip/infer-request.ts'
import type { TlsPair } from '../../../runtime/tls-pair.ts'
import type { GrpcPatience } from './grpc-listener.ts'
import { createGrpcListener, createGrpcPatrol, defaultMaxConnections } from './grpc-listener.ts'
import { nameMessageLimit } from './message-limit.ts'
import { createHealth } from './health.ts'
import type { InferMessage } from './infer-message.ts'
import { checkInferBytes, readInferMessage, writeInferMessage } from './infer-message.ts'
import { createReflection } from './reflection.ts'
import type { ArrivedCall, GrpcRequest } from './run-stages.ts'
import { runStages } from './run-stages.ts'
import { grpcStatusOf, statusDetails } from './status.ts'

export interface GrpcServer {
  /**
   * @param port 0: any free one
   * @returns the port
   * @throws LockstepError `PORT_IN_USE`, or `CONFIG_INVALID` where the address is not this machine's or not allowed
   */
  listen(host: string, port: number): Promise<number>
  /** No new calls; those under way may take `graceMs`, then they are cut. */
  close(graceMs: number): Promise<void>
}

export interface GrpcOptions extends GrpcPatience {
  /** null: without TLS. */
  readonly tls: TlsPair | null
  /** How many calls of one connection may be under way. Default: 100. */
  readonly maxStreams?: number | undefined
  /** Default: a quarter of the files that the process may have open. */
  readonly maxConnections?: number | null | undefined
}

interface Named {
  readonly name: string
  readonly version: string
}

/** The messages of the methods that need a key. */
interface KeyedMessages {
  readonly ModelReady: Named
  readonly ModelMetadata: Named
  readonly RepositoryIndex: { readonly ready: boolean }
  readonly ModelInfer: InferMessage
}
type KeyedMethod = keyof KeyedMessages
const keyedMethods: ReadonlySet<string> = new Set<KeyedMethod>(['ModelReady', 'ModelMetadata', 'RepositoryIndex', 'ModelInfer'])

const service = 'inference.GRPCInferenceService'
/** A connection without calls is closed after this time: clients open another when they need it. */
const idleMs = 300_000
/** How often a connection with calls is asked whether its client is still there, and how long it may take to answer. */
const pingMs = 60_000
const pongMs = 20_000

/** Every field that is not sent has its default of proto3: "", 0, false, an empty list. */
function load(name: string) {
  return loadSync(join(import.meta.dirname, `${name}.proto`), {
    keepCase: true,
    longs: String,
    enums: String,
    arrays: true,
    defaults: true,
    oneofs: name === 'reflection',
  })
}

/**
 * The Open Inference Protocol over gRPC: the same calls as under `/v2`, by the same code. Beside it gRPC's own services
 * for health checks and reflection.
 */
export function createGrpcServer(deps: ServingContext, options: GrpcOptions): GrpcServer {
  setLogVerbosity(logVerbosity.NONE) // errors go to the caller and to our log
  const patrol = createGrpcPatrol(options)
  const server = new Server({
    'grpc.max_receive_message_length': deps.bodyLimitBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxStreams ?? 100,
    'grpc.max_connection_idle_ms': idleMs,
    'grpc.keepalive_time_ms': pingMs,
    'grpc.keepalive_timeout_ms': pongMs,
    'grpc.enable_channelz': 0, // it would remember every connection
    interceptors: [nameMessageLimit(deps.bodyLimitBytes), patrol.interceptor],
  })
  const listener = createGrpcListener(server, {
    connected: patrol.connected,
    tls: options.tls,
    firstCallMs: options.firstCallMs,
    maxConnections: options.maxConnections ?? defaultMaxConnections(),
    log: deps.log,
  })
  const [definition, healthDefinition, reflectionDefinition] = [load('inference'), load('health'), load('reflection')]
  const methods = definition[service] as ServiceDefinition
  const health = createHealth(deps, service)
  server.addService(healthDefinition['grpc.health.v1.Health'] as ServiceDefinition, {
    Check: open('Check', ({ service: asked }: { readonly service: string }) => ({ status: health.check(asked) }), 'grpc.health.v1.Health'),
    Watch: health.watch,
  })
  const reflection = createReflection([definition, healthDefinition, reflectionDefinition])
  for (const each of reflection.services) server.addService(each, { ServerReflectionInfo: reflection.answer })
  server.addService(withUndecoded(methods), {
    ServerLive: open('ServerLive', () => ({ live: true })),
    ServerReady: open('ServerReady', () => ({ ready: isReady(deps) })),
    ServerMetadata: open('ServerMetadata', () => serverMetadata),
    ModelReady: keyed('ModelReady', 'read', async ({ name, version }) => ({
      ready: await isModelReady(named(name, 'name'), version),
    })),
    ModelMetadata: keyed('ModelMetadata', 'read', async ({ name, version }) => await modelMetadata(deps, named(name, 'name'), version)),
    RepositoryIndex: keyed('RepositoryIndex', 'read', ({ ready }) => ({
      models: repositoryIndex(deps, ready),
    })),
    ModelInfer: keyed('ModelInfer', 'predict', async (message, passed) => {
      named(message.model_name, 'model_name')
      const request = readInferMessage(message)
      await takeRows(passed, rowCount(request))
      const { requestId, sentId, startedMs, key } = passed
      const caller = { requestId, predictionBase: predictionBase(requestId, sentId), startedMs, apiKey: key?.id ?? null }
      const answer = await infer(deps, request, caller, passed)
      return writeInferMessage(answer, message.raw_input_contents.length > 0)
    }),
  })

  async function isModelReady(name: string, version: string): Promise<boolean> {
    try {
      await checkModelReady(deps, name, version)
      return true
    } catch (error) {
      if (error instanceof LockstepError && (error.code === 'NOT_READY' || error.code === 'MODEL_UNAVAILABLE')) return false
      throw error
    }
  }

  /** A method that needs no key, and is admitted always. */
  function open<Request, Answer>(method: string, run: (request: Request) => Answer, of = service): handleUnaryCall<Request, Answer> {
    return unary(`/${of}/${method}`, async ({ request }) => run(request))
  }

  /** A method that needs a key with the scope. Its message is decoded once the key is checked. */
  function keyed<Method extends KeyedMethod, Answer>(
    method: Method,
    scope: Scope,
    run: (request: KeyedMessages[Method], passed: GrpcRequest) => Answer | Promise<Answer>,
  ): handleUnaryCall<Buffer, Answer> {
    return unary(
      `/${service}/${method}`,
      async (call, arrived) => {
        const headers = { authorization: text(call.metadata, 'authorization'), 'x-api-key': text(call.metadata, 'x-api-key') }
        const head = { ...arrived, headers, scope, wantedMs: waitOf(call.getDeadline()) }
        return await runStages(deps.traffic, head, (passed) => run(decode(method, call.request), passed))
      },
      true,
    )
  }

  /** @throws LockstepError `INVALID_REQUEST` */
  function decode<Method extends KeyedMethod>(method: Method, bytes: Buffer): KeyedMessages[Method] {
    try {
      if (method === 'ModelInfer') checkInferBytes(bytes)
      return methods[method]?.requestDeserialize(bytes) as KeyedMessages[Method]
    } catch (cause) {
      if (cause instanceof LockstepError) throw cause
      throw new LockstepError('INVALID_REQUEST', `The message is not one of "${method}": ${messageOf(cause)}`, { cause })
    }
  }

  function unary<Request, Answer>(
    route: string,
    answer: (call: ServerUnaryCall<Request, Answer>, arrived: ArrivedCall) => Promise<Answer>,
    isTraced = false,
  ): handleUnaryCall<Request, Answer> {
    return async (call, callback) => {
      const startedMs = performance.now()
      const sentId = text(call.metadata, 'x-request-id')
      const requestId = requestIdOf(sentId)
      const parent = text(call.metadata, 'traceparent')
      const sent = parent === undefined ? null : traceOf(parent)
      const from = { trace: sent, state: text(call.metadata, 'tracestate'), startedMs }
      const begun = isTraced && deps.tracing !== null ? beginRequest(deps.tracing, route.slice(1), from) : null
      const [trace, span] = begun === null ? [sent, undefined] : [begun.trace, begun.span]
      span?.set({ 'rpc.system.name': 'grpc', 'rpc.method': route.slice(1), 'lockstep.request_id': requestId })
      const head = new Metadata()
      head.set('x-request-id', requestId)
      if (trace !== null) head.set('traceparent', traceparent(trace))
      call.sendMetadata(head)
      let [status, ended] = [200, grpcStatus.OK]
      try {
        callback(null, await answer(call, { requestId, sentId, startedMs, span }))
      } catch (error) {
        const shown = shownError(requestId, error)
        const { grpc, http } = grpcStatusOf(shown)
        status = http
        ended = grpc
        deps.traffic.failures.failed({ requestId, trace, error, shown, status })
        if (status >= 500) span?.fail(error)
        else span?.set({ 'error.type': errorType(error) })
        // a client's error has the trailing metadata; the initial one is only for clients that listen for it
        callback({ code: grpc, details: statusDetails(shown.message), metadata: head })
      }
      span?.set({ 'rpc.response.status_code': grpcStatus[ended] })
      span?.end()
      deps.metrics.request(route, status, (performance.now() - startedMs) / 1000)
    }
  }

  return {
    listen: listener.listen,
    async close(graceMs) {
      listener.stop()
      health.close()
      const cut = setTimeout(patrol.cut, graceMs)
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      clearTimeout(cut)
      patrol.close()
    },
  }
}

/**
 * Has gRPC hand over the requests of methods that need a key as bytes. A message of a megabyte may take seconds to
 * decode, which nobody without a key may cause.
 */
function withUndecoded(methods: ServiceDefinition): ServiceDefinition {
  const undecoded = { requestDeserialize: (request: Buffer) => request }
  const all = Object.entries(methods)
  return Object.fromEntries(all.map(([name, method]) => [name, keyedMethods.has(name) ? { ...method, ...undecoded } : method]))
}

/** @throws LockstepError `INVALID_REQUEST` where a call names no model */
function named(name: string, field: string): string {
  if (name !== '') return name
  throw new LockstepError('INVALID_REQUEST', `The call names no model; send the name in "${field}".`)
}

/** How long the caller waits from now on, milliseconds; null where it does not say. */
function waitOf(deadline: Date | number): number | null {
  const at = Number(deadline)
  return Number.isFinite(at) ? Math.max(at - Date.now(), 0) : null
}

/** The first value of a key of the metadata, where it is a text. */
function text(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key)
  return typeof value === 'string' ? value : undefined
}
