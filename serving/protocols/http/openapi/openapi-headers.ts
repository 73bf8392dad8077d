import { maxTimeoutMs } from '../../../traffic/request-deadline.ts'
import { onlineFeaturesAnswer } from '../../feast/features-route.ts'
import { isIdempotent, maxIdempotencyKey } from '../request/idempotent.ts'
import type { Route } from '../route.ts'

export interface Ref {
  readonly $ref: string
}

/** A header of a request that is described once, under `components`. */
export interface SharedParameter {
  readonly name: string
  readonly in: 'header'
  readonly description: string
  readonly schema: Readonly<Record<string, unknown>>
}

/** The server ignores invalid values of these two, so they have no pattern. */
const always: readonly SharedParameter[] = [
  {
    name: 'X-Request-Id',
    in: 'header',
    description: 'The id of the request: 1 to 128 printable ASCII characters without spaces. Without a valid one, the server creates one',
    schema: { type: 'string' },
  },
  {
    name: 'traceparent',
    in: 'header',
    description: 'The trace of the request (W3C Trace Context), with `tracestate` beside it. An invalid one starts a new trace',
    schema: { type: 'string' },
  },
]
const timeout: SharedParameter = {
  name: 'X-Request-Timeout-Ms',
  in: 'header',
  description: 'How long an answer is useful, in milliseconds. After that, the answer is 504',
  schema: { type: 'integer', minimum: 1, maximum: maxTimeoutMs },
}
const idempotencyKey: SharedParameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description:
    'A name for this request, 1 to 255 printable ASCII characters. If it is sent again within 24 hours with the same body, the first answer is repeated with `idempotency-replayed: true` and nothing is done again. With another body: 422. While the first request is in progress: 409',
  schema: { type: 'string', minLength: 1, maxLength: maxIdempotencyKey, pattern: '^[!-~]([ -~]*[!-~])?$' },
}
const binaryLength = {
  name: 'Inference-Header-Content-Length',
  description: 'If binary tensors follow, the number of bytes of JSON before them',
  schema: { type: 'integer', minimum: 0 },
}

const uploadLength: SharedParameter = {
  name: 'Upload-Length',
  in: 'header',
  description: 'The size of the complete file, in bytes. Default: that of the body',
  schema: { type: 'integer', minimum: 0 },
}
const uploadOffset: SharedParameter = {
  name: 'Upload-Offset',
  in: 'header',
  description: 'The offset in the file of the first byte of the body. It must be the number of bytes that have arrived',
  schema: { type: 'integer', minimum: 0 },
}

export const sharedParameters: Readonly<Record<string, SharedParameter>> = Object.fromEntries(
  [...always, timeout, idempotencyKey, uploadLength, uploadOffset, { ...binaryLength, in: 'header' as const }].map((parameter) => [
    parameter.name,
    parameter,
  ]),
)

export const sharedHeaders = {
  'x-request-id': { description: 'The id of the request', schema: { type: 'string' } },
  traceparent: { description: "The server's span of the trace, if the request has a trace", schema: { type: 'string' } },
  'retry-after': { description: 'After how many seconds to retry', schema: { type: 'integer', minimum: 0 } },
  'inference-header-content-length': { description: binaryLength.description, schema: binaryLength.schema },
  'idempotency-replayed': {
    description: 'The answer is the stored one of the first request with this Idempotency-Key',
    schema: { type: 'string', const: 'true' },
  },
  'lockstep-degraded': {
    description: 'The online store could not be read: the features are stale values or defaults',
    schema: { type: 'string', const: 'true' },
  },
  'lockstep-stale-ms': {
    description: 'The age of the oldest state in a degraded answer, in milliseconds',
    schema: { type: 'integer', minimum: 0 },
  },
  'lockstep-late': {
    description: 'Scheduled views whose run is overdue, separated by commas',
    schema: { type: 'string' },
  },
} as const

export type HeaderName = keyof typeof sharedHeaders

export const inEveryAnswer: readonly HeaderName[] = ['x-request-id', 'traceparent']

/** The headers that a route looks at in requests. */
export function parameterRefs(route: Route): Ref[] {
  const names = [
    ...(route.scope === null ? [] : [timeout]),
    ...always,
    ...(route.takesBinary === true ? [binaryLength] : []),
    ...(isIdempotent(route) ? [idempotencyKey] : []),
    ...(route.isStreamed === true ? [route.method === 'POST' ? uploadLength : uploadOffset] : []),
  ]
  return names.map(({ name }) => ({ $ref: `#/components/parameters/${name}` }))
}

/** The headers of a route's answers that are no errors. */
export function answerHeaderRefs(route: Route): Record<string, Ref> {
  const own: HeaderName[] = []
  if (route.takesBinary === true) own.push('inference-header-content-length')
  if (isIdempotent(route)) own.push('idempotency-replayed')
  if (route.answer === onlineFeaturesAnswer) own.push('lockstep-degraded', 'lockstep-stale-ms', 'lockstep-late')
  return headerRefs([...inEveryAnswer, ...own])
}

export function headerRefs(names: readonly HeaderName[]): Record<string, Ref> {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}
