import { join } from 'node:path'
import type { handleUnaryCall, ServiceDefinition } from '@grpc/grpc-js'
import { logVerbosity, Metadata, Server, setLogVerbosity } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import type { ServingContext } from '../../context.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import type { Principal } from '../../traffic/key-ring.ts'
import { traceOf, traceparent } from '../../traffic/trace.ts'
import { isFailure, toldError } from '../http/error-answer.ts'
import { requestIdOf } from '../http/request-id.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import { checkModelReady, isReady, modelMetadata, repositoryIndex, serverMetadata } from '../oip/describe.ts'
import type { Caller } from '../../predict/predict.ts'
import { predictionBase } from '../../predict/prediction-id.ts'
import { infer } from '../oip/infer.ts'
import { rowsOf } from '../oip/infer-request.ts'
import type { TlsPair } from '../../../runtime/tls-pair.ts'
import type { GrpcPatience } from './grpc-listener.ts'
import { createGrpcListener, createGrpcPatrol, defaultMaxConnections } from './grpc-listener.ts'
import { createHealth } from './health.ts'
import type { InferMessage } from './infer-message.ts'
import { readInferMessage, writeInferMessage } from './infer-message.ts'
import { passGateway } from './authorize-call.ts'
import { createReflection } from './reflection.ts'
import { grpcStatusOf, toldDetails } from './status.ts'

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

interface GrpcCaller extends Omit<Caller, 'apiKey'> {
  readonly principal: Principal | null
  readonly deadline: RequestDeadline | undefined
}

interface Named {
  readonly name: string
  readonly version: string
}

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
  setLogVerbosity(logVerbosity.NONE) // what fails is told to the caller and to our log
  const patrol = createGrpcPatrol(options)
  const server = new Server({
    'grpc.max_receive_message_length': deps.bodyLimitBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxStreams ?? 100,
    'grpc.max_connection_idle_ms': idleMs,
    'grpc.keepalive_time_ms': pingMs,
    'grpc.keepalive_timeout_ms': pongMs,
    'grpc.enable_channelz': 0, // it would remember every connection
    interceptors: [patrol.interceptor],
  })
  const listener = createGrpcListener(server, {
    connected: patrol.connected,
    tls: options.tls,
    firstCallMs: options.firstCallMs,
    maxConnections: options.maxConnections ?? defaultMaxConnections(),
    log: deps.log,
  })
  const [definition, healthDefinition, reflectionDefinition] = [load('inference'), load('health'), load('reflection')]
  const health = createHealth(deps, service)
  server.addService(healthDefinition['grpc.health.v1.Health'] as ServiceDefinition, {
    Check: unary(
      'Check',
      null,
      ({ service: asked }: { readonly service: string }) => ({ status: health.check(asked) }),
      'grpc.health.v1.Health',
    ),
    Watch: health.watch,
  })
  const reflection = createReflection([definition, healthDefinition, reflectionDefinition])
  for (const each of reflection.services) server.addService(each, { ServerReflectionInfo: reflection.answer })
  server.addService(definition[service] as ServiceDefinition, {
    ServerLive: unary('ServerLive', null, () => ({ live: true })),
    ServerReady: unary('ServerReady', null, () => ({ ready: isReady(deps) })),
    ServerMetadata: unary('ServerMetadata', null, () => serverMetadata),
    ModelReady: unary('ModelReady', 'read', async ({ name, version }: Named) => ({
      ready: await isModelReady(named(name, 'name'), version),
    })),
    ModelMetadata: unary(
      'ModelMetadata',
      'read',
      async ({ name, version }: Named) => await modelMetadata(deps, named(name, 'name'), version),
    ),
    RepositoryIndex: unary('RepositoryIndex', 'read', ({ ready }: { readonly ready: boolean }) => ({
      models: repositoryIndex(deps, ready),
    })),
    ModelInfer: unary('ModelInfer', 'predict', async (message: InferMessage, { principal, deadline, ...caller }) => {
      named(message.model_name, 'model_name')
      const request = readInferMessage(message)
      const perSecond = principal?.rowsPerSecond ?? null
      const rows = rowsOf(request)
      if (principal !== null && perSecond !== null && rows > 0) {
        await deps.traffic.limits.take({ owner: principal.id, scope: 'predict', unit: 'rows', perSecond }, rows)
      }
      const answer = await infer(deps, request, { ...caller, apiKey: principal?.id ?? null }, deadline)
      return writeInferMessage(answer, message.raw_input_contents.length > 0)
    }),
  })

  async function isModelReady(name: string, version: string): Promise<boolean> {
    try {
      await checkModelReady(deps, name, version)
      return true
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'NOT_READY') return false
      throw error
    }
  }

  function unary<Request, Answer>(
    method: string,
    scope: Scope | null,
    run: (request: Request, caller: GrpcCaller) => Answer | Promise<Answer>,
    of = service,
  ): handleUnaryCall<Request, Answer> {
    const route = `/${of}/${method}`
    return async (call, callback) => {
      const startedMs = performance.now()
      const sentId = text(call.metadata, 'x-request-id')
      const requestId = requestIdOf(sentId)
      const parent = text(call.metadata, 'traceparent')
      const trace = parent === undefined ? null : traceOf(parent)
      const head = new Metadata()
      head.set('x-request-id', requestId)
      if (trace !== null) head.set('traceparent', traceparent(trace))
      call.sendMetadata(head)
      let status = 200
      try {
        const sent = { authorization: text(call.metadata, 'authorization'), 'x-api-key': text(call.metadata, 'x-api-key') }
        const asked = { sent, scope, startedMs, limitMs: limitOf(call.getDeadline()) }
        const answer = await passGateway(deps.traffic, asked, (principal, deadline) =>
          run(call.request, { requestId, predictionBase: predictionBase(requestId, sentId), startedMs, principal, deadline }),
        )
        callback(null, answer)
      } catch (error) {
        const told = toldError(requestId, error)
        const { grpc, http } = grpcStatusOf(told)
        status = http
        const { traceId, spanId, parentId } = trace ?? traceOf(undefined)
        const logged = { requestId, traceId, spanId, parentId, code: told.code, error: messageOf(error) }
        if (isFailure(told, http))
          deps.log.error({ ...logged, stack: error instanceof Error ? error.stack : undefined }, 'a request failed')
        else deps.log.debug(logged, 'a request was refused')
        // clients have the trailing metadata at hand in their error, and the initial one only where they listen for it
        callback({ code: grpc, details: toldDetails(told.message), metadata: head })
      }
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

/** @throws LockstepError `INVALID_REQUEST` where a call names no model */
function named(name: string, field: string): string {
  if (name !== '') return name
  throw new LockstepError('INVALID_REQUEST', `The call names no model; send its name in "${field}".`)
}

/** How long the caller waits from now on, milliseconds; null where it does not say. */
function limitOf(deadline: Date | number): number | null {
  const at = Number(deadline)
  return Number.isFinite(at) ? Math.max(at - Date.now(), 0) : null
}

/** The first value of a key of the metadata, where it is a text. */
function text(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key)
  return typeof value === 'string' ? value : undefined
}
