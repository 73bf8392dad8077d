import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'
import type { HistogramCell } from '../../runtime/counted-histogram.ts'
import { CountedHistogram } from '../../runtime/counted-histogram.ts'

/** The metrics of model runs. `model` is the model's name: versions share their series. */
export interface RunMetrics {
  /** One run: its rows, and its own time. */
  run(model: string, rows: number, ms: number): void
  /** How long the oldest request of a run waited for it to begin. */
  waited(model: string, ms: number): void
  /** Rows of one call, by what the model's cache had for them. */
  lookedUp(model: string, hits: number, shared: number, misses: number): void
  /** A model's process that ended in a run, and was started anew. */
  ended(model: string, reason: 'timeout' | 'crash'): void
}

export function createRunMetrics(registry: Registry): RunMetrics {
  const registers = [registry]
  const labelNames = ['model'] as const
  const batchRows = new CountedHistogram({
    name: 'lockstep_model_batch_rows',
    help: 'Rows of each run of a model.',
    labelNames,
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024],
    registers,
  })
  const runSeconds = new CountedHistogram({
    name: 'lockstep_model_run_seconds',
    help: 'Time of each run of a model, without waiting.',
    labelNames,
    buckets: [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10],
    registers,
  })
  const waitSeconds = new CountedHistogram({
    name: 'lockstep_model_wait_seconds',
    help: 'How long the oldest request of each run of a model waited for the run.',
    labelNames,
    buckets: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10],
    registers,
  })
  const ends = new Counter({
    name: 'lockstep_model_process_ends_total',
    help: 'Model processes that ended during a run: killed because it took too long (timeout), or crashed (crash).',
    labelNames: ['model', 'reason'],
    registers,
  })
  const lookups = new Counter({
    name: 'lockstep_model_cache_rows_total',
    help: 'Rows of models with a cache: answered from the cache (hit), by the run of another request (shared), or by a run (miss).',
    labelNames: ['model', 'result'],
    registers,
  })
  const cells = new Map<string, Record<'rows' | 'seconds' | 'waited', HistogramCell>>()
  const cellsOf = (model: string) => {
    let known = cells.get(model)
    if (known === undefined) {
      known = { rows: batchRows.cell({ model }), seconds: runSeconds.cell({ model }), waited: waitSeconds.cell({ model }) }
      cells.set(model, known)
    }
    return known
  }
  return {
    run(model, rows, ms) {
      const { rows: ofRows, seconds } = cellsOf(model)
      ofRows.observe(rows)
      seconds.observe(ms / 1000)
    },
    ended: (model, reason) => ends.inc({ model, reason }),
    lookedUp(model, hits, shared, misses) {
      if (hits > 0) lookups.inc({ model, result: 'hit' }, hits)
      if (shared > 0) lookups.inc({ model, result: 'shared' }, shared)
      if (misses > 0) lookups.inc({ model, result: 'miss' }, misses)
    },
    waited: (model, ms) => cellsOf(model).waited.observe(ms / 1000),
  }
}
