import type { Context, HrTime, Span as OtelSpan, Tracer } from '@opentelemetry/api'
import { createTraceState, ROOT_CONTEXT, SpanKind as OtelKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import type { Sampler } from '@opentelemetry/sdk-trace'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  RandomIdGenerator,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { messageOf } from '../../kernel/errors.ts'
import { withTimeout } from '../async.ts'
import type { Logger } from '../log.ts'
import type { MetricsRegistry } from '../metrics.ts'
import { readVersion } from '../version.ts'
import type { Span, SpanAttributes, SpanKind, SpanParent, Tracing } from './span.ts'
import { errorType } from './span.ts'
import { createSpanQueue } from './span-queue.ts'
import type { TraceSettings } from './trace-settings.ts'

const closeMs = 2_000
/** Longer values are cut: messages of errors may quote a request. */
const maxValueLength = 4_096

const kinds = { internal: OtelKind.INTERNAL, server: OtelKind.SERVER, client: OtelKind.CLIENT, consumer: OtelKind.CONSUMER } as const

/**
 * Sends spans by OTLP over HTTP, in protobuf (https://opentelemetry.io/docs/specs/otlp/), with OpenTelemetry's own
 * exporter. Nothing is registered with OpenTelemetry globally, and no library is patched.
 */
export function createOtlpTracing(
  settings: TraceSettings,
  { log, registry }: { readonly log: Logger; readonly registry: MetricsRegistry },
): Tracing {
  const { url, headers, timeoutMs, resource } = settings
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs })
  const version = readVersion()
  const sampler = samplerOf(settings)
  const ids = new RandomIdGenerator()
  let newTraceId = ''
  const provider = new TracerProvider({
    sampler,
    idGenerator: { generateTraceId: () => newTraceId, generateSpanId: ids.generateSpanId },
    resource: resourceFromAttributes({
      'service.version': version,
      'service.instance.id': crypto.randomUUID(),
      'process.pid': process.pid,
      'telemetry.sdk.language': 'nodejs',
      'telemetry.sdk.name': 'opentelemetry',
      ...resource,
    }),
    spanLimits: { attributeValueLengthLimit: maxValueLength },
    spanProcessors: [createSpanQueue(exporter, settings, { log, registry })],
  })
  const tracer = provider.getTracer('lockstep', version)
  return {
    begin(name, { kind, parent, startedMs = performance.now(), attributes }) {
      if (parent === undefined) {
        newTraceId = ids.generateTraceId()
        // the tracer would decide alike, at twice the cost
        const { decision } = sampler.shouldSample(ROOT_CONTEXT, newTraceId, name, kinds[kind], {}, [])
        if (decision === SamplingDecision.NOT_RECORD) return undefined
      }
      const offsetMs = Date.now() - performance.now()
      const context = parent === undefined ? ROOT_CONTEXT : contextOf(parent)
      const span = tracer.startSpan(name, { kind: kinds[kind], startTime: hrTime(startedMs + offsetMs) }, context)
      if (!span.isRecording()) return undefined
      if (attributes !== undefined) span.setAttributes(attributes)
      return new OtlpSpan(tracer, span, offsetMs)
    },
    async close() {
      try {
        await withTimeout(provider.shutdown(), closeMs, () => new Error(`They were not sent within ${closeMs} ms.`))
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'the last spans of traces could not be sent')
      }
    },
  }
}

/** All spans of a trace use one offset between the two clocks, so that a child never begins before its parent. */
class OtlpSpan implements Span {
  readonly traceId: string
  readonly spanId: string
  readonly #tracer: Tracer
  readonly #span: OtelSpan
  readonly #offsetMs: number

  constructor(tracer: Tracer, span: OtelSpan, offsetMs: number) {
    const { traceId, spanId } = span.spanContext()
    this.traceId = traceId
    this.spanId = spanId
    this.#tracer = tracer
    this.#span = span
    this.#offsetMs = offsetMs
  }

  child(name: string, kind: SpanKind = 'internal', attributes: SpanAttributes = {}): Span {
    const options = { kind: kinds[kind], attributes, startTime: this.#now() }
    return new OtlpSpan(this.#tracer, this.#tracer.startSpan(name, options, trace.setSpan(ROOT_CONTEXT, this.#span)), this.#offsetMs)
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes)
  }

  fail(error: unknown): void {
    const message = messageOf(error)
    this.#span.setAttribute('error.type', errorType(error))
    this.#span.recordException(error instanceof Error ? error : message, this.#now())
    this.#span.setStatus({ code: SpanStatusCode.ERROR, message })
  }

  end(): void {
    this.#span.end(this.#now())
  }

  #now(): HrTime {
    return hrTime(performance.now() + this.#offsetMs)
  }
}

function samplerOf({ sampler, ratio }: TraceSettings): Sampler {
  switch (sampler) {
    case 'always_on':
      return new AlwaysOnSampler()
    case 'always_off':
      return new AlwaysOffSampler()
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio)
    case 'parentbased_always_on':
      return new ParentBasedSampler({ root: new AlwaysOnSampler() })
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() })
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) })
    default:
      return sampler satisfies never
  }
}

function contextOf({ traceId, spanId, flags, state }: SpanParent): Context {
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(state === undefined ? {} : { traceState: createTraceState(state) }),
  })
}

/** Seconds and nanoseconds of a time in milliseconds since 1970. */
function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000)
  return [seconds, Math.floor((ms - seconds * 1000) * 1e6)]
}
