import type { Catalog } from '../registry/catalog.ts'
import { sleep } from '../runtime/async.ts'
import type { MetricsRegistry } from '../runtime/metrics.ts'
import type { Predicting } from '../serving/server-options.ts'
import { createPipelineMetrics } from '../serving/streaming/pipeline-metrics.ts'
import { runPipelines } from '../serving/streaming/run-pipelines.ts'
import type { Context } from './context.ts'
import { startServer } from './start-server.ts'

const lookMs = 1_000

/**
 * The work on pipelines of a worker. What predicts is started with the first pipeline, and keeps the models of
 * pipelines loaded, so that workers load no others. It ends with the context.
 */
export function keepPipelines(context: Context, catalog: () => Promise<Catalog>): PipelineKeeper {
  const { config, log } = context
  let registry: MetricsRegistry | null = null

  async function predicting(): Promise<Predicting> {
    // it accepts no requests, so no load balancer has to notice its end
    const started = await startServer({ ...context, config: { ...config, shutdownDelayMs: 0 } }, { lead: false, keeps: hasPipelines })
    registry = started.metrics
    started.server.start()
    return started.server.predicting
  }

  return {
    metrics: () => registry,
    async keep(signal) {
      while (!signal.aborted) {
        const any = await catalog().then(
          ({ pipelines }) => pipelines.size > 0,
          () => false, // others report it
        )
        if (any) break
        await sleep(lookMs, { signal })
      }
      if (signal.aborted) return
      const own = await predicting()
      if (registry !== null) await runPipelines({ predicting: own, config, metrics: createPipelineMetrics(registry), log }, { signal })
    },
  }
}

function hasPipelines({ pipelines }: Catalog, model: string): boolean {
  return [...pipelines.values()].some(({ spec }) => spec.model === model)
}

export interface PipelineKeeper {
  /** The metrics of what predicts; null: no pipeline was declared yet. */
  metrics(): MetricsRegistry | null
  /** Runs pipelines until the signal. */
  keep(signal: AbortSignal): Promise<void>
}
