import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import { orTimeout } from '../async.ts'

const connectTimeoutMs = 2_000

/** One connection at a time, which is opened when it is needed. */
export interface NatsLink {
  /** Calls at the same time share a connection: one that nobody closes would keep the process from ending. */
  connected(): Promise<NatsConnection>
  /** Waits up to `timeoutMs` until sent messages have arrived. Afterwards `connected` fails. */
  close(timeoutMs: number): Promise<void>
}

/** The last socket that a call of `connectToNats` has opened. */
const attempts = new AsyncLocalStorage<{ socket: Socket | null }>()
subscribe('net.client.socket', (message) => {
  const attempt = attempts.getStore()
  if (attempt !== undefined) attempt.socket = (message as { socket: Socket }).socket
})

/** @param url `nats://user:password@host:4222` */
export async function connectToNats(url: string): Promise<NatsConnection> {
  const attempt: { socket: Socket | null } = { socket: null }
  try {
    return await attempts.run(attempt, () => connect(connectionOptions(url)))
  } catch (error) {
    // after its timeout the client leaves the socket open, which would keep the process from ending
    attempt.socket?.destroy()
    throw error
  }
}

/**
 * Connects once, to see whether the server answers.
 *
 * @param url as for `connectToNats`
 * @returns which server it is
 * @throws LockstepError `STREAM_UNAVAILABLE`
 */
export async function pingNats(url: string): Promise<string> {
  const server = new URL(url).host
  try {
    const connection = await connectToNats(url)
    try {
      await connection.rtt()
      return `NATS ${connection.info?.version ?? ''} at "${server}"`
    } finally {
      await connection.close()
    }
  } catch (cause) {
    throw new LockstepError(
      'STREAM_UNAVAILABLE',
      `NATS at "${server}" cannot be used: ${withoutStop(cause)}. Check LOCKSTEP_NATS_URL and that the server runs.`,
      { cause },
    )
  }
}

/** @param url as for `connectToNats` */
export function createNatsLink(url: string): NatsLink {
  let connection: NatsConnection | null = null
  let opening: Promise<NatsConnection> | null = null
  let closed = false

  async function open(): Promise<NatsConnection> {
    try {
      return (connection = await connectToNats(url))
    } finally {
      opening = null
    }
  }

  return {
    async connected() {
      if (closed) throw new Error('The connection was closed')
      if (connection !== null && !connection.isClosed()) return connection
      return await (opening ??= open())
    },
    async close(timeoutMs) {
      closed = true
      await opening?.catch(() => undefined)
      const last = connection
      if (last === null) return
      await orTimeout(
        last.flush().then(() => last.close()),
        timeoutMs,
      ).catch(() => undefined)
      await last.close().catch(() => undefined)
    },
  }
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
