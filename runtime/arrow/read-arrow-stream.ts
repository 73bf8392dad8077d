import { LockstepError } from '../../kernel/errors.ts'
import type { ArrowBuffers, ArrowColumn, ArrowType } from './arrow-columns.ts'
import { messageHeader } from './arrow-schema.ts'
import { FlatTable } from './flat-table.ts'

/** An Arrow IPC stream: its columns, and its record batches. */
export interface ArrowStream {
  readonly columns: readonly ArrowColumn[]
  batches(): AsyncGenerator<ArrowBuffers>
}

const continuation = 0xff_ff_ff_ff

/**
 * Reads an Arrow IPC stream (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format) without
 * compression and dictionaries. The stream must have its end mark, so that one that was cut off is never taken for a
 * shorter one.
 *
 * @param what names the stream in messages
 * @throws LockstepError `FILE_UNREADABLE`
 */
export async function readArrowStream(chunks: AsyncIterable<Uint8Array>, what: string): Promise<ArrowStream> {
  const source = new ByteSource(chunks, what)
  const first = await nextMessage(source, what)
  const schema = first?.type === messageHeader.schema ? first.header : null
  if (schema === null) throw unreadable(what, 'does not begin with a schema')
  return {
    columns: schema.tables(1).map(columnOf),
    async *batches() {
      for (let message = await nextMessage(source, what); message !== null; message = await nextMessage(source, what)) {
        if (message.type !== messageHeader.recordBatch) throw unreadable(what, 'has a dictionary, which is not read; write plain columns')
        if (message.header.table(3) !== null) throw unreadable(what, 'is compressed; write it without compression')
        const { header, body } = message
        yield { rows: header.long(0), nodes: header.pairs(1), buffers: header.pairs(2), body }
      }
    },
  }
}

interface Message {
  readonly type: number
  readonly header: FlatTable
  readonly body: Uint8Array
}

/** null: the end mark. */
async function nextMessage(source: ByteSource, what: string): Promise<Message | null> {
  const prefix = await source.take(8)
  const view = new DataView(prefix.buffer, prefix.byteOffset, 8)
  if (view.getUint32(0, true) !== continuation) throw unreadable(what, 'is not an Arrow IPC stream')
  const length = view.getInt32(4, true)
  if (length === 0) return null
  try {
    const message = FlatTable.root(await source.take(length))
    const header = message.table(2)
    if (header === null) throw unreadable(what, 'has a message without a header')
    return { type: message.byte(1), header, body: await source.take(message.long(3)) }
  } catch (error) {
    // of offsets and lengths outside their bytes
    if (!(error instanceof RangeError)) throw error
    throw unreadable(what, 'has a message that is damaged')
  }
}

/** Takes exact numbers of bytes of a stream of chunks. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #what: string
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>, what: string) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#what = what
  }

  async take(count: number): Promise<Uint8Array> {
    if (count < 0) throw new RangeError('negative length')
    if (this.#rest.length >= count) {
      const taken = this.#rest.subarray(0, count)
      this.#rest = this.#rest.subarray(count)
      return taken
    }
    const taken = new Uint8Array(count)
    let at = 0
    for (;;) {
      const part = this.#rest.subarray(0, count - at)
      taken.set(part, at)
      at += part.length
      this.#rest = this.#rest.subarray(part.length)
      if (at === count) return taken
      const next = await this.#chunks.next()
      if (next.done === true) throw unreadable(this.#what, 'ends before its end mark, so rows may be missing')
      this.#rest = next.value
    }
  }
}

function columnOf(field: FlatTable): ArrowColumn {
  return { name: field.text(0), type: typeOf(field.byte(2), field.table(3)), children: field.tables(5).map(columnOf) }
}

const floatBits = [16, 32, 64]
const timeUnits = ['seconds', 'milliseconds', 'microseconds', 'nanoseconds']

/** @param id the number of the type in the union `Type` of Arrow's `Schema.fbs` */
function typeOf(id: number, type: FlatTable | null): ArrowType {
  const plain = { size: 0, large: false }
  switch (id) {
    case 2: {
      const size = type?.int(0) ?? 0
      if (type?.byte(1) === 0) return { kind: 'other', ...plain, described: `an unsigned integer of ${size} bits` }
      return { kind: 'int', size, large: false, described: `an integer of ${size} bits` }
    }
    case 3: {
      const size = floatBits[type?.short(0) ?? 0] ?? 0
      return { kind: 'float', size, large: false, described: `a float of ${size} bits` }
    }
    case 5:
    case 20:
      return { kind: 'utf8', size: 0, large: id === 20, described: 'text' }
    case 6:
      return { kind: 'bool', ...plain, described: 'bool' }
    case 10: {
      const unit = timeUnits[type?.short(0) ?? 0] ?? ''
      return { kind: unit === 'microseconds' ? 'timestamp' : 'other', ...plain, described: `a timestamp in ${unit}` }
    }
    case 12:
    case 21:
      return { kind: 'list', size: 0, large: id === 21, described: 'a list' }
    case 13:
      return { kind: 'struct', ...plain, described: 'a struct' }
    case 16:
      return { kind: 'fixedList', size: type?.int(0) ?? 0, large: false, described: `a list of ${type?.int(0) ?? 0}` }
    case 17:
      return { kind: 'map', ...plain, described: 'a map' }
    default:
      return { kind: 'other', ...plain, described: `of Arrow's type number ${id}` }
  }
}

function unreadable(what: string, why: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The Arrow stream ${what} ${why}.`)
}
