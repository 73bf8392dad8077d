import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'
import { CountedHistogram } from '../../runtime/counted-histogram.ts'

/** The counts of one model version. */
export interface VersionMetrics {
  /** One request for predictions, and how long it took. */
  requested(ms: number): void
  /** One request for predictions that failed. */
  failed(): void
  /** One run: its rows, and its own time. */
  run(rows: number, ms: number): void
  /** How long the oldest request of a run waited for it to begin. */
  waited(ms: number): void
  /** Rows of one call, by what the model's cache had for them. */
  lookedUp(hits: number, shared: number, misses: number): void
  /** A model's process that ended in a run, and was restarted. */
  ended(reason: 'timeout' | 'crash'): void
}

export interface RunMetrics {
  /** The metrics of a version, which share their series if it is loaded again. */
  of(model: string, version: number): VersionMetrics
}

const requestBounds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createRunMetrics(registry: Registry): RunMetrics {
  const registers = [registry]
  const labelNames = ['model', 'version'] as const
  const requestSeconds = new CountedHistogram({
    name: 'lockstep_model_request_seconds',
    help: 'Time of each request for predictions of a model version, from the read of its features to its encoded answer, failed ones included.',
    labelNames,
    buckets: requestBounds,
    registers,
  })
  const failures = new Counter({
    name: 'lockstep_model_request_failures_total',
    help: 'Requests for predictions of a model version that failed.',
    labelNames,
    registers,
  })
  const batchRows = new CountedHistogram({
    name: 'lockstep_model_batch_rows',
    help: 'Rows of each run of a model version.',
    labelNames,
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024],
    registers,
  })
  const runSeconds = new CountedHistogram({
    name: 'lockstep_model_run_seconds',
    help: 'Time of each run of a model version, without waiting.',
    labelNames,
    buckets: [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10],
    registers,
  })
  const waitSeconds = new CountedHistogram({
    name: 'lockstep_model_wait_seconds',
    help: 'How long the oldest request of each run of a model version waited for the run.',
    labelNames,
    buckets: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10],
    registers,
  })
  const ends = new Counter({
    name: 'lockstep_model_process_ends_total',
    help: 'Model processes that ended during a run: killed because it took too long (timeout), or crashed (crash).',
    labelNames: [...labelNames, 'reason'],
    registers,
  })
  const lookups = new Counter({
    name: 'lockstep_model_cache_rows_total',
    help: 'Rows of models with a cache: answered from the cache (hit), by the run of another request (shared), or by a run (miss).',
    labelNames: [...labelNames, 'result'],
    registers,
  })
  const versions = new Map<string, VersionMetrics>()

  function create(labels: { readonly model: string; readonly version: string }): VersionMetrics {
    const [requests, rows] = [requestSeconds.cell(labels), batchRows.cell(labels)]
    const [seconds, wait] = [runSeconds.cell(labels), waitSeconds.cell(labels)]
    return {
      requested: (ms) => requests.observe(ms / 1000),
      failed: () => failures.inc(labels),
      run(ofRun, ms) {
        rows.observe(ofRun)
        seconds.observe(ms / 1000)
      },
      waited: (ms) => wait.observe(ms / 1000),
      lookedUp(hits, shared, misses) {
        if (hits > 0) lookups.inc({ ...labels, result: 'hit' }, hits)
        if (shared > 0) lookups.inc({ ...labels, result: 'shared' }, shared)
        if (misses > 0) lookups.inc({ ...labels, result: 'miss' }, misses)
      },
      ended: (reason) => ends.inc({ ...labels, reason }),
    }
  }

  return {
    of(model, version) {
      const name = `${model}@${version}`
      let metrics = versions.get(name)
      if (metrics === undefined) versions.set(name, (metrics = create({ model, version: String(version) })))
      return metrics
    },
  }
}
