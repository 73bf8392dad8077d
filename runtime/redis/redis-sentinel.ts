import { connect, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { connect as connectTls } from 'node:tls'
import { AbstractConnector, Redis } from 'ioredis'
import type { RedisOptions } from 'ioredis'
import { messageOf, withoutStop } from '../../kernel/errors.ts'
import { withPatience } from '../async.ts'
import type { RedisConnection } from './redis.ts'
import { accountOf, clientOptions, cutRedis, cutStream, redisTls, setPatientTimeouts, superviseClient, watchRedis } from './redis.ts'
import type { RedisAddress, RedisServer, Sentinel } from './redis-url.ts'
import { addressOf } from './redis-url.ts'

/** How long a Sentinel may take to answer: less than a connection to the primary may take altogether. */
const answerMs = 1_000
/** How much longer than the first answer of a Sentinel the others may take. */
const othersMs = 200
/** How often the Sentinels are asked whether there is another primary. */
const followMs = 1_000

/**
 * Connects to the primary that Sentinels name, as `openRedis` does to a single Redis. For each connection they are
 * asked again, so the client finds the new primary after a failover. It also leaves a primary that still answers once
 * they name another one: what is written there would be lost.
 *
 * The connector of the client library asks one Sentinel after the other, so one that is silent delays each connection,
 * and one that is out of date wins. Its watch over failovers can end the client for good, if it notices one while the
 * client connects.
 *
 * @param options.signal as in `openRedis`
 * @throws LockstepError `CONFIG_INVALID` where a file of its certificates cannot be used
 */
export function openRedisSentinel(address: SentinelAddress, options: { readonly signal?: AbortSignal | undefined }): Redis {
  const tls = address.tls ? redisTls(address) : null
  const sentinels = createSentinels(address, tls)
  const redis = new Redis({
    ...clientOptions,
    ...accountOf(address),
    ...(tls === null ? {} : { tls }),
    Connector: connectorOf(sentinels, tls),
  })
  superviseClient(redis, address, options.signal)
  const timer = setInterval(() => void follow(redis, sentinels), followMs).unref()
  redis.on('end', () => {
    clearInterval(timer)
    sentinels.close()
  })
  return redis
}

type SentinelAddress = RedisAddress & { readonly sentinel: Sentinel }

/** Cuts the connection if the Sentinels name another primary. */
async function follow(redis: Redis, sentinels: Sentinels): Promise<void> {
  const { stream, status } = redis
  if (status !== 'ready') return
  const primary = await sentinels.findPrimary().catch(() => null)
  const { host, port } = redis.options
  if (primary === null || redis.stream !== stream || (primary.host === host && primary.port === port)) return
  cutStream(redis, new Error(`its Sentinels name another primary, ${addressOf(primary)}`))
}

interface Sentinels {
  /** @throws Error that says why no Sentinel names a primary */
  findPrimary(): Promise<RedisServer>
  close(): void
}

interface Named extends RedisServer {
  /** Grows with each failover. A Sentinel that does not report it counts as the oldest. */
  readonly epoch: number
}

/** Keeps a connection to each Sentinel. */
function createSentinels({ nodes, sentinel }: SentinelAddress, tls: ConnectionOptions | null): Sentinels {
  const { name } = sentinel
  const clients = nodes.map((node) => {
    const client = new Redis({
      ...clientOptions,
      ...node,
      ...accountOf({ ...sentinel, database: 0 }),
      ...(tls === null ? {} : { tls }),
      commandTimeout: answerMs,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      protocol: 2,
    })
    setPatientTimeouts(client)
    return { client, connection: watchRedis(client) }
  })
  let known: Named | null = null

  return {
    async findPrimary() {
      const asked = clients.map(async ({ client, connection }) => {
        try {
          return await ask(client, name)
        } catch (cause) {
          throw failureOf(cause, connection)
        }
      })
      const first = await Promise.any(asked).catch((all: AggregateError) => {
        throw noPrimary(name, all.errors)
      })
      const timeoutError = (): Error => new Error(`It did not answer within ${othersMs} ms.`)
      const others = await Promise.all(asked.map((answer) => withPatience(answer, othersMs, timeoutError).catch(() => null)))
      const answers = others.filter((answer) => answer !== null)
      const newest = answers.reduce((best, answer) => (answer.epoch > best.epoch ? answer : best), first)
      // a few that were cut off from the others may still name a former primary
      if (known !== null && newest.epoch < known.epoch && answers.length * 2 <= clients.length) return known
      known = newest
      return newest
    },
    close() {
      for (const { client } of clients) cutRedis(client)
    },
  }
}

/** @throws as the client; Error where it knows no such primary */
async function ask(client: Redis, name: string): Promise<Named> {
  const [address, state] = await Promise.all([
    client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name),
    client.call('SENTINEL', 'MASTER', name).catch(() => null),
  ])
  if (!Array.isArray(address)) throw new Error(`it knows no primary "${name}"`)
  const fields: readonly unknown[] = Array.isArray(state) ? state : []
  const epoch = Number(fields[fields.indexOf('config-epoch') + 1])
  return { host: String(address[0]), port: Number(address[1]), epoch: Number.isNaN(epoch) ? -1 : epoch }
}

/** The client's error names only its own settings; the reason is in the error of the connection. */
function failureOf(cause: unknown, { server, trouble }: RedisConnection): Error {
  const isAnswer = cause instanceof Error && cause.name === 'ReplyError'
  const reason = isAnswer ? cause : (trouble() ?? cause)
  // of a host name with several addresses
  const root: unknown = reason instanceof AggregateError && reason.message === '' ? reason.errors[0] : reason
  // Node's advice is about its own options
  const text = withoutStop((messageOf(root).split(';', 1)[0] ?? '').trim())
  const advice = /^(NOAUTH|WRONGPASS)/.test(text)
    ? ' (its user and password are "sentinel_username" and "sentinel_password" in the URL)'
    : text.startsWith('ERR unknown command')
      ? ' (it is no Sentinel)'
      : ''
  return new Error(`${server}: ${text}${advice}`, { cause: root })
}

function noPrimary(name: string, failures: readonly Error[]): Error {
  return new Error(`no Sentinel names the primary "${name}" (${failures.map(({ message }) => message).join('; ')})`, {
    cause: failures[0]?.cause,
  })
}

/** Makes the connections of clients: each to the primary that the Sentinels name then. */
function connectorOf(sentinels: Sentinels, tls: ConnectionOptions | null): NonNullable<RedisOptions['Connector']> {
  return class extends AbstractConnector {
    readonly #options: RedisOptions
    #giveUp: () => void = () => undefined

    constructor(options: unknown) {
      super((options as RedisOptions).disconnectTimeout ?? 0)
      this.#options = options as RedisOptions
    }

    async connect() {
      this.connecting = true
      const stopped = new Promise<null>((resolve) => (this.#giveUp = () => resolve(null)))
      try {
        const primary = await Promise.race([sentinels.findPrimary(), stopped])
        // ends the client
        if (primary === null) throw new Error('Connection is closed.')
        this.stream = this.#connectTo(primary)
      } catch (error) {
        if (!this.connecting) throw error
        // the client takes it for a connection that failed, and tries again
        this.firstError = error as Error
        this.stream = new Socket().destroy()
      }
      return this.stream
    }

    #connectTo({ host, port }: RedisServer): Socket {
      // who asks the client for its server gets this one
      Object.assign(this.#options, { host, port })
      const stream = tls === null ? connect({ host, port }) : connectTls({ host, port, ...tls })
      return stream.once('error', (error) => (this.firstError = error))
    }

    /** A server is not yet, or no longer, what the Sentinels name it. */
    override check({ role = 'master' }: { readonly role?: string }): boolean {
      if (role === 'master') return true
      const { host = '', port = 0 } = this.#options
      this.stream.destroy(new Error(`its Sentinels name ${addressOf({ host, port })}, which is a replica`))
      return false
    }

    override disconnect(): void {
      super.disconnect()
      this.#giveUp()
    }
  }
}
