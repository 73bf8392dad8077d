import { join } from 'node:path'
import type { ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js'
import { logVerbosity, Server, setLogVerbosity } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { TlsPair } from '../../../runtime/tls-pair.ts'
import type { ServingContext } from '../../context.ts'
import type { GrpcPatience } from './grpc-listener.ts'
import { createGrpcListener, createGrpcPatrol, defaultMaxConnections } from './grpc-listener.ts'
import { createHealth } from './health.ts'
import { createInferenceService, inferenceService } from './inference-service.ts'
import { nameMessageLimit } from './message-limit.ts'
import { createReflection } from './reflection.ts'
import { unaryCall } from './unary-call.ts'

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

const healthService = 'grpc.health.v1.Health'
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
  const [inference, health, reflection] = [load('inference'), load('health'), load('reflection')]
  const { definition, calls } = createInferenceService(deps, inference[inferenceService] as ServiceDefinition)
  server.addService(definition, calls)
  const healthCheck = createHealth(deps, inferenceService)
  server.addService(health[healthService] as ServiceDefinition, {
    Check: unaryCall(deps, `/${healthService}/Check`, async ({ request }: ServerUnaryCall<{ readonly service: string }, unknown>) => ({
      status: healthCheck.check(request.service),
    })),
    Watch: healthCheck.watch,
  })
  const reflected = createReflection([inference, health, reflection])
  for (const each of reflected.services) server.addService(each, { ServerReflectionInfo: reflected.answer })

  return {
    listen: listener.listen,
    async close(graceMs) {
      listener.stop()
      healthCheck.close()
      const cut = setTimeout(patrol.cut, graceMs)
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
      clearTimeout(cut)
      patrol.close()
    },
  }
}
