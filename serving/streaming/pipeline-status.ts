import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SinkSpec } from '../../kernel/specs/sink-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { durationText } from '../../kernel/values/duration.ts'
import { countDeadLetters } from '../../materializer/streams/dead-letters.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { openConsumer } from '../../runtime/streams/open-consumer.ts'
import { readPipelineStates, readPipelineStatesAt, pipelineStream } from './pipeline-state.ts'
import { letterSource } from './batch-runner.ts'

/** A pipeline as it is declared and as it runs. */
export interface PipelineStatus {
  readonly name: string
  readonly source: string
  readonly model: string
  /** A version or an alias; null: each message is routed. */
  readonly version: number | string | null
  /** The stream that it reads: `Kafka topic "landed"`; null: the source no longer has a stream. */
  readonly reads: string | null
  readonly group: string | null
  readonly writesTo: string
  /** How often an answer is written. */
  readonly guarantee: string | null
  readonly ledger: boolean
  readonly paused: boolean
  /** How often it was replayed. */
  readonly replays: number
  readonly replayedAt: string | null
  readonly replayedFrom: string | null
  readonly deadLetters: number
}

/** The declared pipelines. */
export type DeclaredPipelines = Pick<Catalog, 'pipelines' | 'streams'>

/**
 * All pipelines, by name.
 *
 * @param moment as of when they are paused or replayed; undefined: now. Dead letters that were retried or dropped since
 *   are not counted.
 */
export async function pipelineStatuses(db: Pick<Database, 'kysely'>, catalog: DeclaredPipelines, moment?: Date): Promise<PipelineStatus[]> {
  if (catalog.pipelines.size === 0) return []
  const states = moment === undefined ? await readPipelineStates(db) : await readPipelineStatesAt(db, moment)
  const letters = new Map((await countDeadLetters(db, moment)).map(({ source, count }) => [source, count]))
  return [...catalog.pipelines.values()].map(({ spec }) => {
    const { name } = spec
    const state = states.get(name)
    const stream = catalog.streams.has(spec.source) ? pipelineStream(catalog, spec, state?.generation ?? 0) : null
    return {
      name,
      source: spec.source,
      model: spec.model,
      version: spec.version,
      reads: stream === null ? null : streamName(stream),
      group: stream?.group ?? null,
      writesTo: streamName(spec.sink),
      guarantee: stream === null ? null : deliveryGuarantee(stream, spec.sink),
      ledger: spec.ledger,
      paused: (state?.pausedAt ?? null) !== null,
      replays: state?.generation ?? 0,
      replayedAt: state?.replayedAt?.toISOString() ?? null,
      replayedFrom: state?.replayedFrom ?? null,
      deadLetters: letters.get(letterSource(name)) ?? 0,
    }
  })
}

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export async function pipelineStatus(db: Pick<Database, 'kysely'>, catalog: Catalog, name: string): Promise<PipelineStatus> {
  const { spec } = catalog.pipeline(name)
  const found = (await pipelineStatuses(db, catalog)).find((status) => status.name === spec.name)
  if (found === undefined) throw new LockstepError('INTERNAL', `The pipeline "${name}" has no status.`)
  return found
}

/** How many messages wait for a pipeline; a text: why its server does not say. */
export async function pipelineLag(
  db: Pick<Database, 'kysely'>,
  config: StreamServers,
  catalog: Catalog,
  name: string,
): Promise<StreamLag | string> {
  try {
    const { generation } = (await readPipelineStates(db)).get(name) ?? { generation: 0 }
    const consumer = openConsumer(config, pipelineStream(catalog, catalog.pipeline(name).spec, generation), { redeliverMs: 30_000 })
    try {
      return await consumer.lag()
    } finally {
      await consumer.close()
    }
  } catch (error) {
    return messageOf(error)
  }
}

/** How often an answer is written, by what its stream and its sink can do (docs/pipelines.md). */
function deliveryGuarantee(stream: Pick<StreamSpec, 'kind'>, sink: SinkSpec): string {
  switch (sink.kind) {
    case 'redis':
      return stream.kind === 'redis'
        ? `once; in a Redis Cluster, once within ${windowOf(sink.windowSeconds)}`
        : `once within ${windowOf(sink.windowSeconds)}`
    case 'nats':
      return "once within the duplicate window of the sink's stream"
    case 'kafka':
      if (sink.transactions === true) return 'once, for consumers that read committed messages'
      return 'at least once; a repeat has the same lockstep-id'
    default:
      return sink satisfies never
  }
}

function windowOf(seconds: number): string {
  return durationText(seconds * 1_000_000)
}
