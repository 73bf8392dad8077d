import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import { createOverCapMetric } from '../over-cap-metric.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'

/** What a process that reads streams counts. */
export interface StreamMetrics {
  /** Messages that are done with: as new events, as events that were there, or as dead letters. */
  messages(source: string, counts: { readonly appended: number; readonly duplicate: number; readonly dead: number }): void
  lag(source: string, lag: StreamLag): void
  failure(source: string): void
  overCap(view: string, entities: number): void
}

export function createStreamMetrics(registry: Registry): StreamMetrics {
  const registers = [registry]
  const messages = new Counter({
    name: 'lockstep_stream_messages_total',
    help: 'Stream messages of a source that this process finished, by outcome: appended, duplicate or dead.',
    labelNames: ['source', 'outcome'],
    registers,
  })
  const lag = new Gauge({
    name: 'lockstep_stream_lag_messages',
    help: 'Stream messages of a source that are waiting, or pending (given to a process and not acknowledged). The same for all processes.',
    labelNames: ['source', 'state'],
    registers,
  })
  const failures = new Counter({
    name: 'lockstep_stream_failures_total',
    help: 'How often the stream of a source could not be read, or its events not written. Both are retried.',
    labelNames: ['source'],
    registers,
  })
  return {
    messages(source, counts) {
      for (const [outcome, count] of Object.entries(counts)) if (count > 0) messages.inc({ source, outcome }, count)
    },
    lag(source, { waiting, pending }) {
      lag.set({ source, state: 'waiting' }, waiting)
      lag.set({ source, state: 'pending' }, pending)
    },
    failure: (source) => failures.inc({ source }),
    overCap: createOverCapMetric(registry),
  }
}
