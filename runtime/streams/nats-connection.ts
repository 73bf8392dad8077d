import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'

const connectTimeoutMs = 2_000

/** @param url `nats://user:password@host:4222` */
export async function connectToNats(url: string): Promise<NatsConnection> {
  return await connect(connectionOptions(url))
}

/** The parts of `nats://user:password@host:4222`; a name without a password is a token. */
function connectionOptions(url: string): Parameters<typeof connect>[0] {
  const { protocol, host, username, password } = new URL(url)
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)]
  return {
    servers: host,
    name: 'lockstep',
    timeout: connectTimeoutMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    ...(protocol === 'tls:' ? { tls: {} } : {}),
    ...(user === '' ? {} : pass === '' ? { token: user } : { user, pass }),
  }
}
