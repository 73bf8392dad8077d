import { LockstepError } from '../../../../kernel/errors.ts'
import { IncomingMessage } from '../../../../runtime/node-http.ts'

/** A handler that waits for the body. */
interface Waiting {
  readonly limitBytes: number
  readonly resolve: (chunks: readonly Buffer[]) => void
  readonly reject: (error: LockstepError) => void
}

/** So much of a body is taken in before a handler asks for it. */
const unaskedBytes = 64 * 1024

/**
 * A request of Node's server whose body is gathered as the parser hands it over (by `push`, as to any readable stream).
 * Read as a stream, it has no body.
 *
 * A bare server that parses a body of 54 bytes takes 18.8 us of CPU per request with it, 20.1 us with the events of
 * Node's own request, and 25.3 us with `for await`. The differences are 3 % and 14 % of the 45 us of a prediction.
 */
export class IncomingRequest extends IncomingMessage {
  #chunks: Buffer[] = []
  #size = 0
  #waiting: Waiting | null = null
  #dropping = false
  #dropped: (() => void) | null = null
  /** Wakes a handler that reads the body in parts. */
  #wake: (() => void) | null = null

  /**
   * The body, in the chunks that it arrived in. One handler may wait for it at a time.
   *
   * @throws LockstepError `BODY_TOO_LARGE`, or `REQUEST_ABORTED`, also after its rest was dropped
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
      // the part that arrived before may have paused the connection
      this.read(0)
    })
  }

  /**
   * The body in parts, as they arrive. The client waits while the handler does. One handler may read it, once.
   *
   * @param signal ends the reading
   * @throws LockstepError `REQUEST_ABORTED`, and the reason of the signal
   */
  async *parts(signal: AbortSignal): AsyncGenerator<Buffer> {
    const wake = (): void => this.#wake?.()
    signal.addEventListener('abort', wake)
    try {
      for (;;) {
        signal.throwIfAborted()
        if (this.#dropping) throw aborted()
        const arrived = this.#chunks
        this.#chunks = []
        this.#size = 0
        yield* arrived
        if (this.#chunks.length > 0) continue
        if (this.complete) return
        if (this.destroyed) throw aborted(this.errored)
        if (signal.aborted || this.#dropping) continue
        await new Promise<void>((resolve) => {
          this.#wake = resolve
          // a pause of the connection ends here, each time
          // oxlint-disable-next-line no-underscore-dangle -- what Node calls it
          this._read(0)
        })
        this.#wake = null
      }
    } finally {
      signal.removeEventListener('abort', wake)
    }
  }

  /** Takes in the rest of the body and drops it. Calls `done` when the body or the connection ends. */
  dropRest(done: () => void): void {
    if (this.complete || this.destroyed) return done()
    this.#dropping = true
    this.#chunks = []
    this.#dropped = done
    this.#refuse(aborted())
    this.#wake?.()
    this.read(0)
  }

  override push(chunk: Buffer | null): boolean {
    const waiting = this.#waiting
    if (chunk === null) {
      this.#waiting = null
      waiting?.resolve(this.#chunks)
      this.#wake?.()
      this.#end()
      // Node waits for this event before it releases a request that was answered early
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
    this.#wake?.()
    return waiting !== null || this.#size <= unaskedBytes
  }

  /** For a complete request Node would resume the connection, though others wait that arrived over it. */
  override _read(size: number): void {
    // oxlint-disable-next-line no-underscore-dangle -- what Node calls it
    if (!this.complete) super._read(size)
  }

  override destroy(error?: Error): this {
    // an error is costly to make, and thousands of pipelined requests may end at once
    if (this.#waiting !== null) this.#refuse(aborted(error))
    this.#wake?.()
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

// Node releases a request that has ended when its answer is sent, and counts another as aborted; TypeScript knows it as
// a property
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
