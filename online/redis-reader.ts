import { randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { ReplyError } from 'ioredis'
import type { Redis } from 'ioredis'
import { cutRedis } from '../runtime/redis.ts'
import { mget } from './redis-read-command.ts'
import type { Reply } from './redis-replies.ts'
import { ReplyParser } from './redis-replies.ts'

type Values = (Buffer | null)[]

/** Reads many keys at a time. */
export interface RedisReader {
  /** The values of the keys, by index; null where there is none. @throws as the client */
  read(keys: readonly string[]): Promise<Values>
  close(): void
}

interface Read {
  readonly keys: readonly string[]
  readonly resolve: (values: Values) => void
  readonly reject: (error: unknown) => void
  /** By `performance.now()`. */
  readonly until: number
  /** It has failed, and its answer is for nobody. */
  late: boolean
}

const sweepMs = 50

/**
 * A reader with a connection of its own, which the client makes, as often as it takes, and whose replies are read here: what the client makes of an MGET's reply takes most of the time of a read. While
 * there is no such connection, and for what was asked over one that is lost, the client itself reads.
 */
export function createRedisReader(redis: Redis): RedisReader {
  let own: Redis | null = null
  let line: Line | null = null
  let closed = false

  function open(): Redis {
    const client = redis.duplicate({ protocol: 2, lazyConnect: false })
    client.on('error', () => undefined)
    client.on('ready', () => take(client.stream))
    redis.once('end', close)
    return client
  }

  function take(stream: Duplex): void {
    // nothing that the client has asked for is not answered, and it asks for nothing more
    stream.removeAllListeners('data')
    const taken: Line = new Line(stream, redis.options.commandTimeout ?? Number.POSITIVE_INFINITY, () => (line = taken))
    stream.once('close', () => {
      if (line === taken) line = null
      for (const { keys, resolve, reject } of taken.end()) mget(redis, keys).then(resolve, reject)
    })
  }

  function close(): void {
    closed = true
    if (own !== null) cutRedis(own)
  }

  return {
    read(keys) {
      if (!closed) own ??= open()
      return line === null || keys.length === 0 ? mget(redis, keys) : line.read(keys)
    },
    close,
  }
}

/** A connection that reads alone go over. */
class Line {
  readonly #stream: Duplex
  readonly #timeoutMs: number
  /** In the order in which they are answered. */
  readonly #reads: Read[] = []
  readonly #timer: NodeJS.Timeout

  /** @param onOpen called once what was asked before is answered */
  constructor(stream: Duplex, timeoutMs: number, onOpen: () => void) {
    this.#stream = stream
    this.#timeoutMs = timeoutMs
    const greeting = randomUUID()
    let open = false
    const parser = new ReplyParser((reply) => {
      if (open) return this.#settle(reply)
      open = Buffer.isBuffer(reply) && reply.toString('latin1') === greeting
      if (open) onOpen()
    })
    stream.on('data', (chunk: Buffer) => {
      try {
        parser.write(chunk)
      } catch (error) {
        stream.destroy(error as Error)
      }
    })
    stream.resume()
    stream.write(command('PING', [greeting]))
    this.#timer = setInterval(() => this.#expire(), sweepMs).unref()
  }

  read(keys: readonly string[]): Promise<Values> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ keys, resolve, reject, until: performance.now() + this.#timeoutMs, late: false })
      this.#stream.write(command('MGET', keys))
    })
  }

  /** @returns what is not answered */
  end(): Read[] {
    clearInterval(this.#timer)
    return this.#reads.filter(({ late }) => !late)
  }

  #settle(reply: Reply): void {
    const read = this.#reads.shift()
    if (read === undefined) throw new Error('a reply to no command')
    if (Array.isArray(reply) && reply.length === read.keys.length) read.resolve(reply)
    else if (reply instanceof Error) read.reject(new ReplyError(reply.message))
    else throw new Error('a reply to another command')
  }

  #expire(): void {
    const now = performance.now()
    for (const read of this.#reads) {
      if (now < read.until) return
      if (read.late) continue
      read.late = true
      // as the client says it
      read.reject(new Error('Command timed out'))
    }
  }
}

function command(name: string, args: readonly string[]): string {
  let text = `*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`
  for (const arg of args) text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`
  return text
}
