import { LockstepError } from '../../kernel/errors.ts'

/** Attributes of a span, by the names of OpenTelemetry's semantic conventions, or `lockstep.…`. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | string[] | undefined>>

/** `server`: answers a request. `client`: waits for another system. `consumer`: works on a job. */
export type SpanKind = 'internal' | 'server' | 'client' | 'consumer'

/** A timed part of a trace that is recorded. A span that is never ended is not sent. */
export interface Span {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits. */
  readonly spanId: string
  /** Begins a part of this span now. */
  child(name: string, kind?: SpanKind, attributes?: SpanAttributes): Span
  set(attributes: SpanAttributes): void
  /** Records an error, and marks the span as failed. */
  fail(error: unknown): void
  end(): void
}

/** Where a trace comes from: the fields of W3C Trace Context (https://www.w3.org/TR/trace-context-2/). */
export interface SpanParent {
  readonly traceId: string
  readonly spanId: string
  /** Two hex digits. */
  readonly flags: string
  readonly state?: string | undefined
}

export interface SpanStart {
  readonly kind: SpanKind
  /** Absent: a new trace. */
  readonly parent?: SpanParent | undefined
  /** Milliseconds of `performance.now()`. Default: now. */
  readonly startedMs?: number
  readonly attributes?: SpanAttributes
}

/** Makes the spans of a process and sends them. */
export interface Tracing {
  /** @returns undefined if the trace is not sampled: then nothing is recorded */
  begin(name: string, start: SpanStart): Span | undefined
  /** Sends what is recorded, for up to 2 s, and ends. */
  close(): Promise<void>
}

/**
 * Does work as a part of a span. Without a span it costs one call.
 *
 * @param work gets the span of the part
 */
export function traced<T>(
  parent: Span | undefined,
  name: string,
  work: (span: Span | undefined) => Promise<T>,
  kind?: SpanKind,
): Promise<T> {
  return parent === undefined ? work(undefined) : spanned(parent.child(name, kind), work)
}

/** As `traced`, with a span of its own, which this ends. */
export async function spanned<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await work(span)
  } catch (error) {
    span.fail(error)
    throw error
  } finally {
    span.end()
  }
}

/** As `traced`, for work that does not wait. */
export function tracedNow<T>(parent: Span | undefined, name: string, work: () => T): T {
  if (parent === undefined) return work()
  const span = parent.child(name)
  try {
    return work()
  } catch (error) {
    span.fail(error)
    throw error
  } finally {
    span.end()
  }
}

/** The value of `error.type`: a code of Lockstep's, or the name of another error. */
export function errorType(error: unknown): string {
  if (error instanceof LockstepError) return error.code
  return error instanceof Error ? error.name : 'INTERNAL'
}
