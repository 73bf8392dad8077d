import type { IncomingHttpHeaders } from 'node:http'
import type { Span } from '../../../runtime/tracing/span.ts'
import { traced } from '../../../runtime/tracing/span.ts'
import type { AuthorizedRequest } from '../../traffic/authorize.ts'
import { authorize } from '../../traffic/authorize.ts'
import type { Place } from '../../traffic/place.ts'
import { createPlace } from '../../traffic/place.ts'
import { isRefusal, overloaded } from '../../traffic/refusals.ts'
import type { RequestDeadline } from '../../traffic/request-deadline.ts'
import { beforeDeadline, deadlineFrom } from '../../traffic/request-deadline.ts'
import type { Traffic } from '../../traffic/traffic.ts'

export interface ArrivedCall {
  readonly requestId: string
  /** The request id that its caller sent; undefined: none. */
  readonly sentId: string | undefined
  /** When it arrived, milliseconds of `performance.now()`. */
  readonly startedMs: number
  /** undefined: it is not recorded. */
  readonly span: Span | undefined
}

/** A call of gRPC that was admitted and authorized. */
export interface GrpcRequest extends AuthorizedRequest, ArrivedCall {
  readonly deadline: RequestDeadline | undefined
  readonly place: Place
}

export interface GrpcHead extends ArrivedCall, Pick<GrpcRequest, 'scope'> {
  /** The API key, from the metadata. */
  readonly headers: IncomingHttpHeaders
  /** How long its caller waits for it, milliseconds; null: it does not say. */
  readonly wantedMs: number | null
}

/**
 * Runs a call through the stages of every request: deadline, admission, authorization, handler.
 *
 * @throws LockstepError `OVERLOADED`, `DEADLINE_EXCEEDED`, as `authorize`, and what `run` throws
 */
export async function runStages<T>(
  traffic: Traffic,
  { headers, wantedMs, ...head }: GrpcHead,
  run: (request: GrpcRequest) => T | Promise<T>,
): Promise<T> {
  const deadline = deadlineFrom(head.startedMs, wantedMs, traffic.requestTimeoutMs)
  const place = createPlace(traffic.admission)
  const request: GrpcRequest = { ...head, deadline, place, key: null, leaveKey: undefined, takeRows: undefined, limits: undefined }
  const admitted = () =>
    new Promise<void>((admit, reject) => traffic.admission.enter({ run: admit, refuse: () => reject(overloaded), deadline }))
  await traced(head.span, 'wait for admission', admitted)
  const handle = async () => {
    await authorize(traffic, request, headers)
    return await run(request)
  }
  try {
    return await (deadline === undefined ? handle() : beforeDeadline(deadline, handle()))
  } catch (error) {
    if (isRefusal(error)) traffic.metrics.refused(error.code)
    throw error
  } finally {
    request.leaveKey?.()
    place.leave()
  }
}
