import { status } from '@grpc/grpc-js'
import type { LockstepError } from '../../../kernel/errors.ts'
import type { HttpErrorStatus } from '../http/response/status.ts'
import { oipStatusOf } from '../http/response/status.ts'

/** The gRPC status of an error, by the HTTP status that it has over REST. */
export function grpcStatusOf(error: LockstepError): { readonly grpc: status; readonly http: HttpErrorStatus } {
  const http = oipStatusOf(error)
  return { grpc: fromHttp(http), http }
}

function fromHttp(http: HttpErrorStatus): status {
  switch (http) {
    case 400:
    case 415:
    case 422:
      return status.INVALID_ARGUMENT
    case 401:
      return status.UNAUTHENTICATED
    case 403:
      return status.PERMISSION_DENIED
    case 404:
      return status.NOT_FOUND
    case 409:
    case 412:
    case 421:
      return status.FAILED_PRECONDITION
    case 413:
    case 429:
    case 507:
      return status.RESOURCE_EXHAUSTED
    case 499:
      return status.CANCELLED
    case 405:
    case 406:
    case 501:
      return status.UNIMPLEMENTED
    case 500:
      return status.INTERNAL
    case 503:
      return status.UNAVAILABLE
    case 504:
      return status.DEADLINE_EXCEEDED
    default:
      return http satisfies never
  }
}

/**
 * The status goes in a header, where each byte of a text that is not ASCII takes three, and clients take 8 KiB of
 * headers, some 16 KiB.
 */
const maxDetails = 800

/**
 * A message as it fits into the status of a call: one that is too long would reach the client as an error of another
 * kind.
 */
export function statusDetails(message: string): string {
  const cut = message.length > maxDetails ? `${message.slice(0, maxDetails - 1)}…` : message
  return cut.toWellFormed()
}
