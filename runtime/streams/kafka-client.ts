import type { Base, BaseOptions, Consumer, Producer } from '@platformatic/kafka'
import { Admin } from '@platformatic/kafka'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { KafkaAddress } from '../kafka-url.ts'
import { kafkaServers, parseKafkaUrl } from '../kafka-url.ts'
import { kafkaReason } from './kafka-reason.ts'

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
      ...(address.tls ? { tls: certificates(address) } : {}),
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

function ignore(): void {}

function certificates({ ca, client }: KafkaAddress): { ca?: string; cert?: string; key?: string } {
  const tls = {
    ...(ca === null ? {} : { ca: textOf('ca', ca) }),
    ...(client === null ? {} : { cert: textOf('cert', client.cert), key: textOf('key', client.key) }),
  }
  try {
    createSecureContext(tls)
  } catch (cause) {
    const names = Object.keys(tls).map((name) => `"${name}"`)
    throw new LockstepError(
      'CONFIG_INVALID',
      `The files ${names.join(', ')} in LOCKSTEP_KAFKA_URL cannot be used: ${messageOf(cause)}. Name files in PEM, and the key that belongs to the certificate, without a passphrase.`,
      { cause },
    )
  }
  return tls
}

function textOf(name: 'ca' | 'cert' | 'key', file: string): string {
  const problem = (reason: string, cause?: unknown): LockstepError =>
    new LockstepError('CONFIG_INVALID', `The "${name}" in LOCKSTEP_KAFKA_URL cannot be ${reason}. Name a file in PEM.`, { cause })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw problem(`read: ${messageOf(cause)}`, cause)
  }
  // TLS ignores an empty file, and an authority without a certificate
  if (text === '') throw problem(`used: the file "${file}" is empty`)
  if (name === 'ca' && !hasCertificate(text)) throw problem(`used: the file "${file}" has no certificate`)
  return text
}

function hasCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0
  } catch {
    return false
  }
}
