import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { logOversized } from '../../materializer/runs/log-oversized.ts'
import { createPushFolder } from '../../materializer/events/push-folder.ts'
import { reasonOf } from '../../materializer/streams/dead-letters.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { orTimeout, sleep } from '../../runtime/async.ts'
import type { Config } from '../../runtime/config.ts'
import { createKeepTrying } from '../../runtime/keep-trying.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { openEnds } from '../../runtime/streams/open-sink.ts'
import type { Predicting } from '../server-options.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import { createPipelineMinutes } from './pipeline-minutes.ts'
import type { PipelineState } from './pipeline-state.ts'
import { readPipelineStates, pipelineStream } from './pipeline-state.ts'
import { runPipeline } from './run-pipeline.ts'

const lookMs = 1_000
const writeMs = 5_000
const defaultRedeliverMs = 30_000

export interface RunPipelinesDeps {
  readonly predicting: Predicting
  readonly config: StreamServers & Pick<Config, 'bodyLimitBytes' | 'futureMicros'>
  readonly metrics: PipelineMetrics
  readonly log: Logger
}

export interface RunPipelinesOptions {
  readonly signal: AbortSignal
  /** A message whose process is not heard of for so long goes to another. Default: 30 s. */
  readonly redeliverMs?: number
  /** How long the batch under way of a pipeline may take after the signal or its pause. Default: 8 s. */
  readonly drainMs?: number
}

/**
 * Runs all pipelines of the registry that are not paused, until the signal, beside any number of processes that do the
 * same. It follows changes of the registry, pauses and replays.
 */
export async function runPipelines(deps: RunPipelinesDeps, options: RunPipelinesOptions): Promise<void> {
  const { predicting, log } = deps
  const { signal } = options
  const running = new Map<string, Running>()
  const minutes = createPipelineMinutes(deps.metrics, predicting.context.clock)
  let writtenMs = 0
  let failed: string | null = null
  while (!signal.aborted) {
    try {
      const catalog = predicting.context.catalog()
      const none = catalog.pipelines.size === 0 && running.size === 0
      const states = none ? new Map<string, PipelineState>() : await readPipelineStates(predicting.database())
      const wanted = new Map(
        [...catalog.pipelines.keys()].flatMap((name) => {
          const state = states.get(name)
          return (state?.pausedAt ?? null) === null ? [[name, identityOf(catalog, name, state)] as const] : []
        }),
      )
      const changed = [...running].filter(([name, { identity }]) => wanted.get(name) !== identity)
      // a pipeline whose batch takes long to end must not hold up the others
      await orTimeout(Promise.all(changed.map(([, pipeline]) => pipeline.stop())), lookMs)
      for (const [name, pipeline] of running) {
        if (!pipeline.isStopped()) continue
        running.delete(name)
        minutes.ended(name)
      }
      for (const [name, identity] of wanted) {
        if (running.has(name)) continue
        const generation = states.get(name)?.generation ?? 0
        minutes.began(name)
        running.set(name, start({ ...deps, metrics: minutes.metrics }, options, { catalog, name, identity, generation }))
      }
      if (performance.now() > writtenMs + writeMs) {
        await minutes.write(predicting.database())
        writtenMs = performance.now()
      }
      failed = null
    } catch (error) {
      const isStarting = error instanceof LockstepError && error.code === 'NOT_READY'
      if (!signal.aborted && !isStarting && failed !== messageOf(error))
        log.warn({ error: messageOf(error) }, 'the pipelines cannot be checked')
      failed = messageOf(error)
    }
    await sleep(lookMs, { signal })
  }
  await Promise.all([...running.values()].map((pipeline) => pipeline.stop()))
  // what cannot be written now is lost: it is a few seconds of counts
  await Promise.resolve()
    .then(() => minutes.write(predicting.database()))
    .catch(() => undefined)
}

interface Running {
  readonly identity: string
  stop(): Promise<void>
  /** Whether a `stop` is done. */
  isStopped(): boolean
}

/** Changes with all that a pipeline is run with: then it is restarted. */
function identityOf(catalog: Catalog, name: string, state: PipelineState | undefined): string {
  const spec = catalog.pipelines.get(name)?.spec
  const source = spec?.source ?? ''
  // the schema of answers in Avro depends on them
  const outputs = spec?.sink.kind === 'kafka' && spec.sink.format === 'avro' ? catalog.models.get(spec.model)?.spec.output : null
  return JSON.stringify([spec, catalog.sources.get(source), catalog.streams.get(source), outputs, state?.generation ?? 0])
}

interface Started {
  readonly catalog: Catalog
  readonly name: string
  readonly identity: string
  readonly generation: number
}

function start(
  { predicting, config, metrics, log }: RunPipelinesDeps,
  options: RunPipelinesOptions,
  { catalog, name, identity, generation }: Started,
): Running {
  const stopped = new AbortController()
  const signal = AbortSignal.any([options.signal, stopped.signal])
  const { redeliverMs = defaultRedeliverMs, drainMs } = options
  const limits = { futureMicros: config.futureMicros, messageLimitBytes: config.bodyLimitBytes }
  const run = async (): Promise<void> => {
    const pipeline = catalog.pipelines.get(name)?.spec
    if (pipeline === undefined) return
    const source = catalog.pushSource(pipeline.source)
    const stream = pipelineStream(catalog, pipeline, generation)
    const onTooLarge = logOversized(log, metrics.overCap)
    const { context, database, store } = predicting
    const folder = createPushFolder({ database, store, log, onTooLarge })
    const fold = async (xids: readonly number[]): Promise<void> => {
      await folder.fold(context.catalog().onlineReaders(source), xids)
    }
    const answer = { pipeline: name, key: pipeline.key, outputs: catalog.model(pipeline.model).spec.output }
    const { consumer, sink } = openEnds(config, pipeline.sink, { from: stream, redeliverMs, answer })
    try {
      // what kept it from its start is over
      metrics.waiting(name, null)
      const deps = {
        db: database(),
        context,
        pipeline,
        source,
        stream,
        generation,
        consumer,
        sink,
        fold,
        metrics,
        log,
        clock: context.clock,
      }
      await runPipeline(deps, { ...limits, signal, drainMs })
    } finally {
      await consumer
        .close()
        .finally(() => sink.close())
        .finally(folder.close)
    }
  }
  const untilStopped = createKeepTrying({
    signal,
    onFailure(error, isNew) {
      metrics.failure(name, error)
      metrics.waiting(name, reasonOf(error))
      if (isNew) log.error({ pipeline: name, error: messageOf(error) }, 'a pipeline does not start, and is tried again')
    },
    onOver: () => undefined,
  })
  const done = untilStopped(run)
  let isStopped = false
  return {
    identity,
    isStopped: () => isStopped,
    async stop() {
      stopped.abort()
      await done
      if (isStopped) return
      isStopped = true
      metrics.waiting(name, null)
    },
  }
}
