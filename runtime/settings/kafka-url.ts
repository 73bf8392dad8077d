import type { TrustedFiles } from './trusted-files.ts'
import { trustedFiles } from './trusted-files.ts'

/** The address of a Kafka cluster, from LOCKSTEP_KAFKA_URL. */
export interface KafkaAddress extends TrustedFiles {
  /** Any of its brokers: they report the others. */
  readonly brokers: readonly { readonly host: string; readonly port: number }[]
  readonly sasl: { readonly mechanism: SaslMechanism; readonly username: string; readonly password: string } | null
  readonly tls: boolean
}

const mechanisms = { plain: 'PLAIN', 'scram-sha-256': 'SCRAM-SHA-256', 'scram-sha-512': 'SCRAM-SHA-512' } as const
export type SaslMechanism = (typeof mechanisms)[keyof typeof mechanisms]

const defaultPort = 9092

/**
 * Parses `kafka://user:password@host:9092,host:9092?sasl=scram-sha-512`. With `kafkas`, the connections use TLS, and
 * `ca` may name the file of the authorities to trust, `cert` and `key` those of a client certificate. With a user,
 * `sasl` is the mechanism; default: `plain`.
 *
 * @returns null for any other text
 */
export function parseKafkaUrl(text: string): KafkaAddress | null {
  const [, scheme = '', authority = '', query = ''] = /^(kafkas?):\/\/([^/?#]+)\/?(?:\?([^#]*))?$/.exec(text) ?? []
  if (scheme === '') return null
  const at = authority.lastIndexOf('@')
  // each host is parsed separately, as a URL that the platform can parse
  const hosts = authority.slice(at + 1).split(',')
  const urls = hosts.map((host) => (host === '' ? null : URL.parse(`http://${host}`)))
  if (!urls.every((url) => url !== null)) return null
  const { sasl, ca, cert, key, ...unknown } = Object.fromEntries(new URLSearchParams(query))
  const files = trustedFiles({ ca, cert, key }, scheme === 'kafkas')
  if (Object.keys(unknown).length > 0 || files === null) return null
  const mechanism = Object.entries(mechanisms).find(([name]) => name === (sasl ?? 'plain'))?.[1]
  if (mechanism === undefined) return null
  const [username, ...password] = at < 0 ? [] : authority.slice(0, at).split(':')
  if (username === undefined ? sasl !== undefined : username === '' || password.length === 0) return null
  try {
    return {
      brokers: urls.map(({ hostname }, i) => ({
        host: hostname.replaceAll(/^\[|\]$/g, ''),
        port: Number(/:(\d+)$/.exec(hosts[i] ?? '')?.[1] ?? defaultPort),
      })),
      sasl:
        username === undefined
          ? null
          : { mechanism, username: decodeURIComponent(username), password: decodeURIComponent(password.join(':')) },
      tls: scheme === 'kafkas',
      ...files,
    }
  } catch {
    return null // a "%" that does not start an encoded character
  }
}

/** The brokers in a form that is safe to show: without user and password. */
export function kafkaServers({ brokers }: KafkaAddress): string {
  return brokers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(',')
}
