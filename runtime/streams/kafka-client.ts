import type { BaseOptions } from '@platformatic/kafka'
import { LockstepError } from '../../kernel/errors.ts'
import { kafkaServers, parseKafkaUrl } from '../kafka-url.ts'

const connectTimeoutMs = 2_000
const answerTimeoutMs = 10_000

/** What all clients of the brokers in a URL have in common. */
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
      ...(address.tls ? { tls: {} } : {}),
      ...(address.sasl === null ? {} : { sasl: { ...address.sasl } }),
    },
  }
}
