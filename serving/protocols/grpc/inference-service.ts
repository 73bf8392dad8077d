import type { handleUnaryCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { predictionBase } from '../../../monitoring/prediction-log/prediction-id.ts'
import type { Scope } from '../../../registry/keys/scope.ts'
import type { ServingContext } from '../../context.ts'
import { takeRows } from '../../traffic/authorize.ts'
import { checkModelReady, isReady, modelMetadata, repositoryIndex, serverMetadata } from '../oip/describe.ts'
import { infer } from '../oip/infer.ts'
import { rowCount } from '../oip/infer-request.ts'
import type { InferMessage } from './infer-message.ts'
import { checkInferBytes, readInferMessage, writeInferMessage } from './infer-message.ts'
import type { GrpcRequest } from './run-stages.ts'
import { runStages } from './run-stages.ts'
import { metadataText, unaryCall } from './unary-call.ts'

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

export const inferenceService = 'inference.GRPCInferenceService'

/**
 * The calls of the Open Inference Protocol, by the same code as under `/v2`.
 *
 * @param declared its methods, as the protocol declares them
 */
export function createInferenceService(
  deps: ServingContext,
  declared: ServiceDefinition,
): { readonly definition: ServiceDefinition; readonly calls: UntypedServiceImplementation } {
  /** A method that needs no key, and is admitted always. */
  function open<Answer>(method: string, run: () => Answer): handleUnaryCall<unknown, Answer> {
    return unaryCall(deps, `/${inferenceService}/${method}`, async () => run())
  }

  /** A method that needs a key with the scope. Its message is decoded once the key is checked. */
  function keyed<Method extends KeyedMethod, Answer>(
    method: Method,
    scope: Scope,
    run: (request: KeyedMessages[Method], passed: GrpcRequest) => Answer | Promise<Answer>,
  ): handleUnaryCall<Buffer, Answer> {
    return unaryCall(
      deps,
      `/${inferenceService}/${method}`,
      async (call, arrived) => {
        const headers = {
          authorization: metadataText(call.metadata, 'authorization'),
          'x-api-key': metadataText(call.metadata, 'x-api-key'),
        }
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
      return declared[method]?.requestDeserialize(bytes) as KeyedMessages[Method]
    } catch (cause) {
      if (cause instanceof LockstepError) throw cause
      throw new LockstepError('INVALID_REQUEST', `The message is not one of "${method}": ${messageOf(cause)}`, { cause })
    }
  }

  return {
    definition: withUndecoded(declared),
    calls: {
      ServerLive: open('ServerLive', () => ({ live: true })),
      ServerReady: open('ServerReady', () => ({ ready: isReady(deps) })),
      ServerMetadata: open('ServerMetadata', () => serverMetadata),
      ModelReady: keyed('ModelReady', 'read', async ({ name, version }) => ({
        ready: await isModelReady(deps, named(name, 'name'), version),
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
    },
  }
}

async function isModelReady(deps: ServingContext, name: string, version: string): Promise<boolean> {
  try {
    await checkModelReady(deps, name, version)
    return true
  } catch (error) {
    if (error instanceof LockstepError && (error.code === 'NOT_READY' || error.code === 'MODEL_UNAVAILABLE')) return false
    throw error
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
