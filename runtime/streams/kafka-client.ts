import type { Base, BaseOptions, Consumer, Producer } from '@platformatic/kafka'
import { Admin } from '@platformatic/kafka'
import { LockstepError } from '../../kernel/errors.ts'
import { orTimeout } from '../async.ts'
import { kafkaServers, parseKafkaUrl } from '../settings/kafka-url.ts'
import { readTrusted } from '../settings/trusted-files.ts'
import { kafkaReason } from './kafka-reason.ts'

const connectTimeoutMs = 2_000
/** How long brokers may take to answer. */
export const answerTimeoutMs = 10_000

/** The options that all clients of the brokers in a URL have in common. */
export function kafkaClient(url: string): { readonly server: string; readonly options: BaseOptions } {
  const address = parseKafkaUrl(url)
  if (address === null) throw new LockstepError('CONFIG_INVALID', 'The URL of Kafka is invalid; see LOCKSTEP_KAFKA_URL.')
  return {
    server: kafkaServers(address),
    options: {
      clientId: 'lockstep',
      bootstrapBrokers: [...address.brokers],
      connectTimeout: connectTimeoutMs,
      requestTimeout: answerTimeoutMs,
      timeout: answerTimeoutMs,
      retries: 3,
      retryDelay: 250,
      autocreateTopics: false,
      ...(address.tls ? { tls: readTrusted(address, 'LOCKSTEP_KAFKA_URL') } : {}),
      ...(address.sasl === null ? {} : { sasl: { ...address.sasl } }),
    },
  }
}

/**
 * Asks the brokers of a URL for their topics once, to see whether they answer.
 *
 * @returns which brokers they are
 * @throws LockstepError `STREAM_UNAVAILABLE`
 */
export async function pingKafka(url: string): Promise<string> {
  const { server, options } = kafkaClient(url)
  const admin = quieted(new Admin({ ...options, retries: 0 }))
  try {
    const topics = await admin.listTopics()
    return `Kafka at "${server}", which has ${topics.length} topic${topics.length === 1 ? '' : 's'}`
  } catch (cause) {
    throw new LockstepError('STREAM_UNAVAILABLE', `Kafka at "${server}" cannot be used: ${kafkaReason(cause)}`, { cause })
  } finally {
    await admin.close().catch(() => undefined)
  }
}

/**
 * Lets the errors of a client be those of its calls. Without listeners an error of a connection would end the process,
 * such as that of a broker that hangs up after it has refused a password.
 */
export function quieted<Client extends Admin | Consumer | Producer>(client: Client): Client {
  const base: Base = client
  base.on('error', ignore)
  base.on('client:broker:failed', ({ connection }) => connection.on('error', ignore))
  return client
}

/** Waits for a client to close for as long as a connection may take to open. Its failure is ignored. */
export async function closeClient(closing: Promise<unknown>): Promise<void> {
  await orTimeout(closing, connectTimeoutMs).catch(ignore)
}

function ignore(): void {}
