import type { ServerInterceptor } from '@grpc/grpc-js'
import { ServerInterceptingCall, status } from '@grpc/grpc-js'
import { tooLarge } from '../http/request/incoming-request.ts'

/**
 * Has gRPC refuse a message over its limit with the error that HTTP has, which names the setting. gRPC refuses it below
 * all interceptors, so that status is the only `RESOURCE_EXHAUSTED` that does not pass through this one.
 *
 * It has to be the first interceptor.
 */
export function nameMessageLimit(limitBytes: number): ServerInterceptor {
  return (_, call) => {
    const send = call.sendStatus.bind(call)
    let isOurs = false
    call.sendStatus = (sent) => {
      const isOverLimit = !isOurs && sent.code === status.RESOURCE_EXHAUSTED
      send(isOverLimit ? { ...sent, details: tooLarge(limitBytes).message } : sent)
    }
    return new ServerInterceptingCall(call, {
      sendStatus(sent, next) {
        isOurs = true
        next(sent)
      },
    })
  }
}
