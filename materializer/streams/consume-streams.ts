import { setTimeout } from 'node:timers/promises'
import { messageOf } from '../../kernel/errors.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Config } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createKeepTrying } from '../../runtime/keep-trying.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { openConsumer } from '../../runtime/streams/open-consumer.ts'
import type { StreamMetrics } from './stream-metrics.ts'
import { createPushFolder } from '../events/push-folder.ts'
import { logOversized } from '../runs/log-oversized.ts'
import { consumeStream } from './consume-stream.ts'

const lookMs = 1_000
const redeliverMs = 30_000

export interface StreamTools {
  readonly db: Database
  readonly store: OnlineStore
  /** The registry as it is now. */
  catalog(): Promise<Catalog>
  readonly config: StreamServers & Pick<Config, 'bodyLimitBytes' | 'futureMicros'>
  readonly log: Logger
  readonly metrics: StreamMetrics
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface StreamOptions {
  readonly signal: AbortSignal
  /** A message whose process is not heard of for so long goes to another. Default: 30 s. */
  readonly redeliverMs?: number
}

/**
 * Reads the streams of all sources of the registry until the signal, beside any number of processes that do the same.
 * It follows changes of the registry.
 */
export async function consumeStreams(tools: StreamTools, options: StreamOptions): Promise<void> {
  const { signal } = options
  const running = new Map<string, Consumer>()
  let failed: string | null = null
  while (!signal.aborted) {
    try {
      const catalog = await tools.catalog()
      const wanted = new Map([...catalog.streams.keys()].map((name) => [name, identityOf(catalog, name)]))
      const changed = [...running].filter(([name, { identity }]) => wanted.get(name) !== identity)
      await Promise.all(changed.map(([, consumer]) => consumer.stop()))
      for (const [name] of changed) running.delete(name)
      for (const [name, identity] of wanted) if (!running.has(name)) running.set(name, start(tools, options, catalog, name, identity))
      failed = null
    } catch (error) {
      if (!signal.aborted && failed !== messageOf(error)) tools.log.warn({ error: messageOf(error) }, 'the streams cannot be checked')
      failed = messageOf(error)
    }
    await setTimeout(lookMs, undefined, { signal }).catch(() => undefined)
  }
  await Promise.all([...running.values()].map((consumer) => consumer.stop()))
}

interface Consumer {
  readonly identity: string
  stop(): Promise<void>
}

/** What a consumer is made for: another one takes its place where that has changed. */
function identityOf(catalog: Catalog, name: string): string {
  return JSON.stringify([catalog.sources.get(name), catalog.streams.get(name)])
}

function start(tools: StreamTools, options: StreamOptions, catalog: Catalog, name: string, identity: string): Consumer {
  const { db, store, config, log } = tools
  const stopped = new AbortController()
  const signal = AbortSignal.any([options.signal, stopped.signal])
  const run = async (): Promise<void> => {
    const [source, spec] = [catalog.pushSource(name), catalog.streams.get(name)]
    if (spec === undefined) return
    const consumer = openConsumer(config, spec, { redeliverMs: options.redeliverMs ?? redeliverMs })
    const onTooLarge = logOversized(log, tools.metrics.overCap)
    const folder = createPushFolder({ database: () => db, store: () => store, log, onTooLarge, signal })
    const fold = async (xids: readonly number[]): Promise<void> => {
      await folder.fold((await tools.catalog()).onlineReaders(source), xids)
    }
    try {
      const { futureMicros, bodyLimitBytes } = config
      await consumeStream({ ...tools, consumer, source, spec, fold }, { signal, futureMicros, messageLimitBytes: bodyLimitBytes })
    } finally {
      await consumer.close().finally(folder.close)
    }
  }
  const untilStopped = createKeepTrying({
    signal,
    onFailure(error, isNew) {
      tools.metrics.failure(name)
      if (isNew) log.error({ source: name, error: messageOf(error) }, 'the stream of a source is not read, and is tried again')
    },
    onOver: () => undefined,
  })
  const done = untilStopped(run)
  return {
    identity,
    async stop() {
      stopped.abort()
      await done
    },
  }
}
