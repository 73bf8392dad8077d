import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js'
import { Metadata, status as grpcStatus } from '@grpc/grpc-js'
import { errorType } from '../../../runtime/tracing/span.ts'
import type { ServingContext } from '../../context.ts'
import { requestIdOf } from '../../traffic/request-id.ts'
import { shownError } from '../../traffic/shown-error.ts'
import { beginRequest, traceOf, traceparent } from '../../traffic/trace.ts'
import type { ArrivedCall } from './run-stages.ts'
import { grpcStatusOf, statusDetails } from './status.ts'

type CallDeps = Pick<ServingContext, 'traffic' | 'tracing' | 'metrics'>

/**
 * The handler of a method with one request and one answer. It gives each call its id and its trace, turns what `answer`
 * throws into a status, and counts the call.
 *
 * @param isTraced whether calls have a span of their own, where traces are on
 */
export function unaryCall<Request, Answer>(
  deps: CallDeps,
  route: string,
  answer: (call: ServerUnaryCall<Request, Answer>, arrived: ArrivedCall) => Promise<Answer>,
  isTraced = false,
): handleUnaryCall<Request, Answer> {
  return async (call, callback) => {
    const startedMs = performance.now()
    const sentId = metadataText(call.metadata, 'x-request-id')
    const requestId = requestIdOf(sentId)
    const parent = metadataText(call.metadata, 'traceparent')
    const sent = parent === undefined ? null : traceOf(parent)
    const from = { trace: sent, state: metadataText(call.metadata, 'tracestate'), startedMs }
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

/** The first value of a key of the metadata, where it is a text. */
export function metadataText(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key)
  return typeof value === 'string' ? value : undefined
}
