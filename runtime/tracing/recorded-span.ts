import type { Attributes, HrTime, SpanContext, SpanStatus } from '@opentelemetry/api'
import { SpanKind as OtelKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import type { Resource } from '@opentelemetry/resources'
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace'
import { RandomIdGenerator } from '@opentelemetry/sdk-trace'
import { messageOf } from '../../kernel/errors.ts'
import type { Span, SpanAttributes, SpanKind } from './span.ts'
import { errorType } from './span.ts'

/** The facts that the spans of one trace in this process share. */
export interface TraceOrigin {
  readonly resource: Resource
  readonly instrumentationScope: ReadableSpan['instrumentationScope']
  /**
   * Milliseconds from `performance.now()` to the time since 1970. All spans of a trace use the same, so that a child
   * never begins before its parent.
   */
  readonly offsetMs: number
  /** Gets each span when it ends. */
  readonly onEnd: (span: ReadableSpan) => void
}

const kinds = { internal: OtelKind.INTERNAL, server: OtelKind.SERVER, client: OtelKind.CLIENT, consumer: OtelKind.CONSUMER } as const
const ids = new RandomIdGenerator()
/** Messages of errors may quote a request. */
const maxMessage = 4_096
const noLinks: ReadableSpan['links'] = []
const noEvents: TimedEvent[] = []
const unset: SpanStatus = { code: SpanStatusCode.UNSET }

/**
 * A span as OpenTelemetry's exporter reads it. It takes the place of the span of its SDK, which costs a request ten
 * times as much: times and links are made when they are exported, and no context is kept.
 */
export class RecordedSpan implements Span, ReadableSpan {
  readonly name: string
  readonly kind: OtelKind
  readonly parentSpanContext?: SpanContext
  readonly attributes: Attributes = {}
  readonly links = noLinks
  readonly droppedAttributesCount = 0
  readonly droppedEventsCount = 0
  readonly droppedLinksCount = 0
  events = noEvents
  status = unset
  ended = false
  readonly #origin: TraceOrigin
  readonly #context: SpanContext
  readonly #startMs: number
  #endMs = 0

  /** @param parent undefined: a new trace begins */
  constructor(origin: TraceOrigin, name: string, kind: SpanKind, parent: SpanContext | undefined, startMs: number) {
    this.name = name
    this.kind = kinds[kind]
    this.#origin = origin
    this.#startMs = startMs
    const spanId = ids.generateSpanId()
    if (parent === undefined) this.#context = { traceId: ids.generateTraceId(), spanId, traceFlags: TraceFlags.SAMPLED }
    else {
      this.parentSpanContext = parent
      const { traceId, traceState } = parent
      this.#context = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, ...(traceState !== undefined && { traceState }) }
    }
  }

  get traceId(): string {
    return this.#context.traceId
  }

  get spanId(): string {
    return this.#context.spanId
  }

  child(name: string, kind: SpanKind = 'internal', attributes?: SpanAttributes): Span {
    const span = new RecordedSpan(this.#origin, name, kind, this.#context, performance.now())
    if (attributes !== undefined) span.set(attributes)
    return span
  }

  set(attributes: SpanAttributes): void {
    for (const name in attributes) {
      const value = attributes[name]
      if (value !== undefined) this.attributes[name] = value
    }
  }

  fail(error: unknown): void {
    const message = messageOf(error).slice(0, maxMessage)
    const type = errorType(error)
    const stack = error instanceof Error ? error.stack?.slice(0, maxMessage) : undefined
    const attributes = {
      'exception.type': type,
      'exception.message': message,
      ...(stack !== undefined && { 'exception.stacktrace': stack }),
    }
    this.attributes['error.type'] = type
    this.events = [...this.events, { name: 'exception', time: this.#hrTime(performance.now()), attributes }]
    this.status = { code: SpanStatusCode.ERROR, message }
  }

  end(): void {
    if (this.ended) return
    this.ended = true
    this.#endMs = performance.now()
    this.#origin.onEnd(this)
  }

  spanContext(): SpanContext {
    return this.#context
  }

  get startTime(): HrTime {
    return this.#hrTime(this.#startMs)
  }

  get endTime(): HrTime {
    return this.#hrTime(this.#endMs)
  }

  get duration(): HrTime {
    return hrTime(this.#endMs - this.#startMs)
  }

  get resource(): Resource {
    return this.#origin.resource
  }

  get instrumentationScope(): ReadableSpan['instrumentationScope'] {
    return this.#origin.instrumentationScope
  }

  #hrTime(ms: number): HrTime {
    return hrTime(ms + this.#origin.offsetMs)
  }
}

/** Seconds and nanoseconds. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.floor((ms - seconds * 1000) * 1e6)]
}
