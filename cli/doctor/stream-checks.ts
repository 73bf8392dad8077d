import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { redisError } from '../../online/redis-error.ts'
import type { Config } from '../../runtime/config.ts'
import { readRedisFacts } from '../../runtime/redis/redis-facts.ts'
import { openSchemaRegistry } from '../../runtime/streams/schema-registry.ts'
import type { Answer, CheckFinding } from './check.ts'
import { findingsOf, ok, wrong } from './check.ts'

type StreamSettings = Pick<Config, 'streamRedisUrl' | 'redisUrl' | 'natsUrl' | 'kafkaUrl' | 'schemaRegistryUrl' | 'schemaRegistryToken'>

/** Whether the servers of streams that are set answer, all at once. Without one there is no line. */
export async function examineStreams(config: StreamSettings): Promise<CheckFinding[]> {
  const { streamRedisUrl, redisUrl, natsUrl, kafkaUrl, schemaRegistryUrl, schemaRegistryToken } = config
  const found = await Promise.all([
    streamRedisUrl === null || streamRedisUrl === redisUrl ? [] : findingsOf('streams', () => checkStreamRedis(streamRedisUrl)),
    natsUrl === null
      ? []
      : findingsOf('nats', async () => answers(await (await import('../../runtime/streams/nats-connection.ts')).pingNats(natsUrl))),
    kafkaUrl === null
      ? []
      : findingsOf('kafka', async () => answers(await (await import('../../runtime/streams/kafka-client.ts')).pingKafka(kafkaUrl))),
    schemaRegistryUrl === null ? [] : findingsOf('schemas', () => checkSchemaRegistry(schemaRegistryUrl, schemaRegistryToken)),
  ])
  return found.flat()
}

const answers = (server: string): Answer => ok(`${server} answers.`)

async function checkStreamRedis(url: string): Promise<Answer[]> {
  try {
    const found = await readRedisFacts(url, redisError)
    return found.map(({ product, version, server }) => answers(`${product} ${version} at ${server}`))
  } catch (error) {
    return [wrong(messageOf(error).replaceAll('LOCKSTEP_REDIS_URL', 'LOCKSTEP_STREAM_REDIS_URL'))]
  }
}

async function checkSchemaRegistry(url: string, token: string | null): Promise<Answer> {
  const registry = openSchemaRegistry(url, token)
  try {
    await registry.schema(1)
  } catch (error) {
    // a schema of another kind than Avro
    if (!(error instanceof LockstepError) || error.code !== 'INVALID_EVENT') throw error
  }
  return answers(`The schema registry at "${registry.server}"`)
}
