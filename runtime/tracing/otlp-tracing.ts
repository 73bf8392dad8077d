import { hostname } from 'node:os'
import type { SpanContext } from '@opentelemetry/api'
import { createTraceState, ROOT_CONTEXT } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace'
import { messageOf } from '../../kernel/errors.ts'
import { withTimeout } from '../async.ts'
import type { Logger } from '../log.ts'
import type { MetricsRegistry } from '../metrics.ts'
import { readVersion } from '../version.ts'
import { RecordedSpan } from './recorded-span.ts'
import type { SpanParent, Tracing } from './span.ts'
import { createSpanQueue } from './span-queue.ts'
import type { TraceSettings } from './trace-settings.ts'

const closeMs = 2_000

/**
 * Sends spans by OTLP over HTTP, in protobuf (https://opentelemetry.io/docs/specs/otlp/), with OpenTelemetry's own
 * batches and exporter. Nothing is registered with OpenTelemetry globally, and no library is patched.
 */
export function createOtlpTracing(
  settings: TraceSettings,
  { log, registry }: { readonly log: Logger; readonly registry: MetricsRegistry },
): Tracing {
  const { url, headers, timeoutMs } = settings
  const queue = createSpanQueue(new OTLPTraceExporter({ url, headers, timeoutMillis: timeoutMs }), settings, { log, registry })
  const version = readVersion()
  const own = {
    'service.version': version,
    'service.instance.id': crypto.randomUUID(),
    'host.name': hostname(),
    'process.pid': process.pid,
  }
  const shared = {
    resource: defaultResource().merge(resourceFromAttributes({ ...own, ...settings.resource })),
    instrumentationScope: { name: 'lockstep', version },
    onEnd: queue.onEnd,
  }
  const isSampled = samplerOf(settings)
  return {
    begin(name, { kind, parent, startedMs = performance.now(), attributes }) {
      if (!isSampled(parent)) return undefined
      const offsetMs = Date.now() - performance.now()
      const context = parent === undefined ? undefined : contextOf(parent)
      const span = new RecordedSpan({ ...shared, offsetMs }, name, kind, context, startedMs)
      if (attributes !== undefined) span.set(attributes)
      return span
    },
    async close() {
      try {
        await withTimeout(queue.shutdown(), closeMs, () => new Error(`They were not sent within ${closeMs} ms.`))
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'the last spans of traces could not be sent')
      }
    },
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

function contextOf({ traceId, spanId, flags, state }: SpanParent): SpanContext {
  return {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(state !== undefined && { traceState: createTraceState(state) }),
  }
}
