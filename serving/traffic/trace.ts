import { randomBytes } from 'node:crypto'
import type { Span, Tracing } from '../../runtime/tracing/span.ts'

/** The place of a request in a trace through several services, by W3C Trace Context. */
export interface Trace {
  /** 32 hex digits. */
  readonly traceId: string
  /** The id of the server's span, 16 hex digits. */
  readonly spanId: string
  /** The id of the caller's span; null: the trace begins here. */
  readonly parentId: string | null
  /** The flags, two hex digits. */
  readonly flags: string
}

const pattern = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

/** The trace that the header `traceparent` names; a new one where there is none, or one that is not valid. */
export function traceOf(header: string | readonly string[] | undefined): Trace {
  const spanId = randomBytes(8).toString('hex')
  const [, version, traceId = '', parentId = '', flags = '', rest] = typeof header === 'string' ? (pattern.exec(header) ?? []) : []
  const valid =
    version !== undefined &&
    version !== 'ff' &&
    (version !== '00' || rest === undefined) &&
    /[1-9a-f]/.test(traceId) &&
    /[1-9a-f]/.test(parentId)
  if (valid) return { traceId, spanId, parentId, flags }
  return { traceId: randomBytes(16).toString('hex'), spanId, parentId: null, flags: '00' }
}

/** The header for this server's part. */
export function traceparent({ traceId, spanId, flags }: Trace): string {
  return `00-${traceId}-${spanId}-${flags}`
}

/** A request that is recorded: its span, and the trace that its answer and the log name. */
interface TracedRequest {
  readonly span: Span
  readonly trace: Trace
}

/**
 * Begins the span of a request.
 *
 * @param from.trace the caller's, where it sent one
 * @param from.state its header `tracestate`
 * @returns null: it is not sampled
 */
export function beginRequest(
  tracing: Tracing,
  name: string,
  { trace, state, startedMs }: { readonly trace: Trace | null; readonly state: string | string[] | undefined; readonly startedMs: number },
): TracedRequest | null {
  const parentId = trace?.parentId ?? null
  const from = trace === null || parentId === null ? undefined : { traceId: trace.traceId, spanId: parentId, flags: trace.flags }
  const parent = from === undefined || typeof state !== 'string' ? from : { ...from, state }
  const span = tracing.begin(name, { kind: 'server', parent, startedMs })
  return span === undefined ? null : { span, trace: { traceId: span.traceId, spanId: span.spanId, parentId, flags: '01' } }
}
