import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace'
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace'
import { Counter } from 'prom-client'
import type { Logger } from '../log.ts'
import type { MetricsRegistry } from '../metrics.ts'
import type { TraceSettings } from './trace-settings.ts'

const batchSpans = 512
/** Failed exports are logged no more often. */
const logMs = 60_000

/**
 * Holds ended spans until they are exported, several at a time, apart from the requests that made them. It counts
 * the outcome of each. A span that finds the queue full is dropped.
 */
export function createSpanQueue(
  exporter: SpanExporter,
  { delayMs, maxQueue }: Pick<TraceSettings, 'delayMs' | 'maxQueue'>,
  { log, registry }: { readonly log: Logger; readonly registry: MetricsRegistry },
): SpanProcessor {
  const spans = new Counter({
    name: 'lockstep_trace_spans_total',
    help: 'Spans of sampled traces: exported to the collector, failed (it did not take them), or dropped (the queue was full).',
    labelNames: ['outcome'],
    registers: [registry],
  })
  for (const outcome of ['exported', 'failed', 'dropped']) spans.inc({ outcome }, 0)
  let waiting = 0
  let loggedAt = Number.NEGATIVE_INFINITY

  function failed(count: number, error: Error | undefined): void {
    spans.inc({ outcome: 'failed' }, count)
    if (performance.now() - loggedAt < logMs) return
    loggedAt = performance.now()
    log.warn({ spans: count, error: error?.message }, 'spans of traces could not be sent to the collector: they are lost')
  }

  const counted: SpanExporter = {
    export(batch: ReadableSpan[], done) {
      waiting -= batch.length
      exporter.export(batch, (result) => {
        // 0: success; the enumeration is in a package of its own
        if (Number(result.code) === 0) spans.inc({ outcome: 'exported' }, batch.length)
        else failed(batch.length, result.error)
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
  const batches = new BatchSpanProcessor({
    exporter: counted,
    scheduledDelayMillis: delayMs,
    maxQueueSize: maxQueue,
    maxExportBatchSize: Math.min(batchSpans, maxQueue),
  })
  return {
    onStart: (span, context) => batches.onStart(span, context),
    onEnd(span) {
      if (waiting >= maxQueue) return spans.inc({ outcome: 'dropped' })
      waiting++
      batches.onEnd(span)
    },
    forceFlush: () => batches.forceFlush(),
    shutdown: () => batches.shutdown(),
  }
}
