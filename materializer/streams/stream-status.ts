import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'
import type { StreamServers } from '../../runtime/streams/open-consumer.ts'
import { openConsumer } from '../../runtime/streams/open-consumer.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { DeadLetterCount } from './dead-letters.ts'
import { countDeadLetters } from './dead-letters.ts'

export interface StreamStatus {
  readonly source: string
  readonly spec: StreamSpec
  /** null: its server does not say. */
  readonly lag: StreamLag | null
  /** Why not. */
  readonly problem: string | null
  readonly deadLetters: Omit<DeadLetterCount, 'source'> | null
}

/**
 * How far behind the processes are that read the streams, by what the streams' servers say, and how many messages were
 * passed over.
 */
export async function streamStatus(
  db: Pick<Database, 'kysely'>,
  streams: ReadonlyMap<string, StreamSpec>,
  config: StreamServers,
): Promise<StreamStatus[]> {
  if (streams.size === 0) return []
  const dead = new Map((await countDeadLetters(db)).map(({ source, ...count }) => [source, count]))
  return await Promise.all(
    [...streams].map(async ([source, spec]) => {
      const deadLetters = dead.get(source) ?? null
      try {
        return { source, spec, lag: await readLag(config, spec), problem: null, deadLetters }
      } catch (error) {
        return { source, spec, lag: null, problem: messageOf(error), deadLetters }
      }
    }),
  )
}

async function readLag(config: StreamServers, spec: StreamSpec): Promise<StreamLag> {
  const consumer = openConsumer(config, spec, { redeliverMs: 30_000 })
  try {
    return await consumer.lag()
  } finally {
    await consumer.close()
  }
}
