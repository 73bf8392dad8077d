import { hostname } from 'node:os'
import type { Context, HrTime, Span as OtelSpan, Tracer } from '@opentelemetry/api'
import { createTraceState, ROOT_CONTEXT, SpanKind as OtelKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import { AlwaysOnSampler, SamplingDecision, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace'
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
  const isSampled = samplerOf(settings)
  const provider = new TracerProvider({
    // `isSampled` has decided, for a tenth of the cost
    sampler: new AlwaysOnSampler(),
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.version': version,
        'service.instance.id': crypto.randomUUID(),
        'host.name': hostname(),
        'process.pid': process.pid,
        ...resource,
      }),
    ),
    spanLimits: { attributeValueLengthLimit: maxValueLength },
    spanProcessors: [createSpanQueue(exporter, settings, { log, registry })],
  })
  const tracer = provider.getTracer('lockstep', version)
  return {
    begin(name, { kind, parent, startedMs = performance.now(), attributes }) {
      if (!isSampled(parent)) return undefined
      const offsetMs = Date.now() - performance.now()
      const context = parent === undefined ? ROOT_CONTEXT : contextOf(parent)
      const span = tracer.startSpan(name, { kind: kinds[kind], startTime: hrTime(startedMs + offsetMs) }, context)
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

/**
 * Decides which traces are recorded. Each one that begins here is drawn by chance, as its parts elsewhere follow its
 * flag. A trace of a caller is decided by its id, alike in all processes, unless the sampler follows the caller's flag.
 */
function samplerOf({ sampler, ratio }: TraceSettings): (parent: SpanParent | undefined) => boolean {
  const share = sampler.endsWith('traceidratio') ? ratio : sampler.endsWith('always_on') ? 1 : 0
  const isParentBased = sampler.startsWith('parentbased_')
  const byId = new TraceIdRatioBasedSampler(share)
  return (parent) => {
    if (parent === undefined) return Math.random() < share
    if (isParentBased) return (Number.parseInt(parent.flags, 16) & 1) === 1
    return byId.shouldSample(ROOT_CONTEXT, parent.traceId).decision === SamplingDecision.RECORD_AND_SAMPLED
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
