import type { Registry } from 'prom-client'
import { Counter, Gauge, Histogram } from 'prom-client'
import { createOverCapMetric } from '../../materializer/over-cap-metric.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'

/** The counters of a process that runs pipelines. */
export interface PipelineMetrics {
  /** Messages that are done with. */
  messages(pipeline: string, counts: { readonly answered: number; readonly dead: number }): void
  /** How long after its arrival a message was answered, seconds. */
  answered(pipeline: string, seconds: number): void
  lag(pipeline: string, lag: StreamLag): void
  /** How old the oldest message is that is being worked on, seconds; 0: none is. */
  age(pipeline: string, seconds: number): void
  /** Reading, predicting or writing failed, and is tried again. */
  failure(pipeline: string, error: unknown): void
  /** A message is predicted again after a timeout. */
  retry(pipeline: string): void
  /** @param reason the code of the error for which the pipeline waits; null: it does not wait */
  waiting(pipeline: string, reason: string | null): void
  /** The states of so many entities of a view were over its cap. */
  overCap(view: string, entities: number): void
}

export function createPipelineMetrics(registry: Registry): PipelineMetrics {
  const registers = [registry]
  const messages = new Counter({
    name: 'lockstep_pipeline_messages_total',
    help: 'Messages that this process finished, by pipeline and outcome: answered or dead.',
    labelNames: ['pipeline', 'outcome'],
    registers,
  })
  const latency = new Histogram({
    name: 'lockstep_pipeline_answer_seconds',
    help: 'Seconds from when the server of a stream got a message until its answer was written, by pipeline: the oldest message of each batch.',
    labelNames: ['pipeline'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300],
    registers,
  })
  const lag = new Gauge({
    name: 'lockstep_pipeline_lag_messages',
    help: 'Messages that wait for a pipeline, or are pending (given to a process and not acknowledged). The same for all processes.',
    labelNames: ['pipeline', 'state'],
    aggregator: 'max',
    registers,
  })
  const age = new Gauge({
    name: 'lockstep_pipeline_oldest_message_seconds',
    help: 'The age of the oldest message that this process works on, by pipeline; 0: it has none.',
    labelNames: ['pipeline'],
    aggregator: 'max',
    registers,
  })
  const failures = new Counter({
    name: 'lockstep_pipeline_failures_total',
    help: 'How often a pipeline could not read, predict or write. Each is retried.',
    labelNames: ['pipeline'],
    registers,
  })
  const retries = new Counter({
    name: 'lockstep_pipeline_retries_total',
    help: 'How often a message was predicted again because the model or a transform did not answer in time, by pipeline.',
    labelNames: ['pipeline'],
    registers,
  })
  const waiting = new Gauge({
    name: 'lockstep_pipeline_waiting',
    help: '1: the pipeline waits in this process, with the messages that it has taken, for the reason: the code of an error.',
    labelNames: ['pipeline', 'reason'],
    aggregator: 'max',
    registers,
  })
  const reasons = new Map<string, string>()
  return {
    messages(pipeline, counts) {
      for (const [outcome, count] of Object.entries(counts)) if (count > 0) messages.inc({ pipeline, outcome }, count)
    },
    answered: (pipeline, seconds) => latency.observe({ pipeline }, seconds),
    lag(pipeline, { waiting, pending }) {
      lag.set({ pipeline, state: 'waiting' }, waiting)
      lag.set({ pipeline, state: 'pending' }, pending)
    },
    age: (pipeline, seconds) => age.set({ pipeline }, seconds),
    failure: (pipeline) => failures.inc({ pipeline }),
    retry: (pipeline) => retries.inc({ pipeline }),
    waiting(pipeline, reason) {
      const before = reasons.get(pipeline)
      if (before !== undefined) waiting.remove({ pipeline, reason: before })
      reasons.delete(pipeline)
      if (reason === null) return
      reasons.set(pipeline, reason)
      waiting.set({ pipeline, reason }, 1)
    },
    overCap: createOverCapMetric(registry),
  }
}
