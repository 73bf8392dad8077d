import { IncomingMessage } from 'node:http'
import { LockstepError } from '../../../kernel/errors.ts'

/** Who waits for a body. */
interface Waiting {
  readonly limitBytes: number
  readonly resolve: (chunks: readonly Buffer[]) => void
  readonly reject: (error: LockstepError) => void
}

/** So much of a body is taken in before anybody asks for it. */
const unaskedBytes = 64 * 1024

/**
 * A request of Node's server whose body is gathered as the parser hands it over (by `push`, as to any readable stream). Through a stream, with its events and ticks, a small body would cost more than
 * all else that is done to it. To those who read it as a stream it has none.
 */
export class IncomingRequest extends IncomingMessage {
  #chunks: Buffer[] = []
  #size = 0
  #waiting: Waiting | null = null
  #dropping = false
  #dropped: (() => void) | null = null

  /**
   * The body, in the chunks that it came in. One may wait for it at a time.
   *
   * @throws LockstepError `BODY_TOO_LARGE`, or `REQUEST_ABORTED`, also where the rest of it was dropped
   */
  body(limitBytes: number): Promise<readonly Buffer[]> {
    return new Promise((resolve, reject) => {
      if (this.#size > limitBytes) {
        this.#dropping = true
        return reject(tooLarge(limitBytes))
      }
      if (this.#dropping) return reject(aborted())
      if (this.complete) return resolve(this.#chunks)
      if (this.destroyed) return reject(aborted(this.errored))
      this.#waiting = { limitBytes, resolve, reject }
      // what had come unasked may have paused the connection
      this.read(0)
    })
  }

  /** Takes in what is left of the body for nothing, and calls `done` as it ends or the connection does. */
  dropRest(done: () => void): void {
    if (this.complete || this.destroyed) return done()
    this.#dropping = true
    this.#chunks = []
    this.#dropped = done
    this.#refuse(aborted())
    this.read(0)
  }

  override push(chunk: Buffer | null): boolean {
    const waiting = this.#waiting
    if (chunk === null) {
      this.#waiting = null
      waiting?.resolve(this.#chunks)
      this.#end()
      // Node waits for it to let go of a request that was answered before
      this.emit('end')
      return false
    }
    if (this.#dropping) return true
    this.#size += chunk.byteLength
    if (waiting !== null && this.#size > waiting.limitBytes) {
      this.#dropping = true
      this.#chunks = []
      this.#refuse(tooLarge(waiting.limitBytes))
      return true
    }
    this.#chunks.push(chunk)
    return waiting !== null || this.#size <= unaskedBytes
  }

  /** Of one that is complete Node would have the connection flow again, though others wait that came over it. */
  override _read(size: number): void {
    // oxlint-disable-next-line no-underscore-dangle -- what Node calls it
    if (!this.complete) super._read(size)
  }

  override destroy(error?: Error): this {
    // an error costs more than all else here, and thousands of pipelined requests may end at once
    if (this.#waiting !== null) this.#refuse(aborted(error))
    this.#end()
    return super.destroy(error)
  }

  #refuse(error: LockstepError): void {
    this.#waiting?.reject(error)
    this.#waiting = null
  }

  #end(): void {
    const dropped = this.#dropped
    this.#dropped = null
    dropped?.()
  }
}

// Node lets go of a request that has ended as its answer is sent, and takes one that has not for aborted; TypeScript has it as a property
Object.defineProperty(IncomingRequest.prototype, 'readableEnded', {
  get(this: IncomingRequest) {
    return this.complete
  },
})

function aborted(cause?: unknown): LockstepError {
  return new LockstepError('REQUEST_ABORTED', 'The connection ended before the body was complete.', { cause })
}

export function tooLarge(limitBytes: number): LockstepError {
  return new LockstepError(
    'BODY_TOO_LARGE',
    `The body is over the limit of ${limitBytes} bytes; send less in one request, or raise LOCKSTEP_BODY_LIMIT_BYTES.`,
    { details: { limitBytes } },
  )
}
