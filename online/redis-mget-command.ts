import { Command } from 'ioredis'
import type { Redis } from 'ioredis'

type Values = (Buffer | null)[]

/**
 * An MGET command for ioredis that survives no garbage collection. The client's own commands are linked in a way that
 * V8's young collections cannot follow: if one of them is alive at a full collection, each later one survives too, with
 * everything it read and answered, until the next full collection. Measured at 1,000 predictions/s: 2 kB of the 52 kB
 * of a prediction survived, and a young collection took 4 to 8 ms instead of 1.
 */
class ReadCommand {
  readonly name = 'mget'
  readonly args: readonly string[]
  /** The client asks whether to deliver Buffers. */
  readonly replyEncoding = null
  readonly promise: Promise<Values>
  isResolved = false
  isSettled = false
  // methods instead of functions for each command: those functions are the links
  #settle!: (values: Values) => void
  #fail!: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined

  constructor(keys: readonly string[]) {
    this.args = keys
    this.promise = new Promise((resolve, reject) => {
      this.#settle = resolve
      this.#fail = reject
    })
  }

  /** The client calls it with its `commandTimeout`. */
  setTimeout(ms: number): void {
    this.#timer ??= setTimeout(expire, ms, this)
  }

  resolve(values: Values): void {
    this.isResolved = true
    this.#end()
    this.#settle(values)
  }

  reject(error: unknown): void {
    this.#end()
    this.#fail(error)
  }

  #end(): void {
    this.isSettled = true
    clearTimeout(this.#timer)
  }
}

function expire(command: ReadCommand): void {
  // the client's own message
  command.reject(new Error('Command timed out'))
}

// all else is as of the client's commands, whose constructor makes the functions
Object.setPrototypeOf(ReadCommand.prototype, Command.prototype)

/** The values of the keys, by index; null where there is none. */
export function mget(redis: Redis, keys: readonly string[]): Promise<Values> {
  return redis.sendCommand(new ReadCommand(keys) as unknown as Command) as Promise<Values>
}
