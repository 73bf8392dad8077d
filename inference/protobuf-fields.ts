/** One raw field of a protobuf message. */
export interface ProtobufField {
  readonly number: number
  /** The value of a varint, exact below 2^53; 0 for other fields. */
  readonly value: number
  /** The low 32 bits of a varint, signed, as for an int32 or enum field. */
  readonly int32: number
  /** For a length-delimited field, a view of the message's bytes; else empty. */
  readonly bytes: Uint8Array
  /** Where the field begins and ends in the message, with its tag. */
  readonly from: number
  readonly to: number
}

const nothing = new Uint8Array(0)
const maxVarintBytes = 10
/** The maximum tag. Parsers disagree on longer ones. */
const maxTag = 2 ** 32 - 1
const maxTagBytes = 5

/**
 * Walks the fields of a protobuf message in order without copying, so skipping the weights of a large model is cheap.
 * protobufjs 8.8 is not used, because its reader accepts what parsers may disagree on: it skips groups, and reads
 * overlong tags and fields with the number 0. What is checked here must be what ONNX Runtime loads.
 *
 * @throws Error if the bytes are not a protobuf message, or if parsers may disagree on it: groups, which no ONNX writer
 *   uses, and overlong tags
 */
export function* protobufFields(message: Uint8Array): Generator<ProtobufField> {
  let at = 0
  let int32 = 0
  while (at < message.length) {
    const from = at
    const tag = varint()
    if (tag > maxTag || at - from > maxTagBytes) throw malformed('a tag in it is too long')
    const number = Math.floor(tag / 8)
    if (number === 0) throw malformed('a field has the number 0')
    const wire = tag % 8
    if (wire === 0) {
      const value = varint()
      yield { number, value, int32, bytes: nothing, from, to: at }
    } else if (wire === 1) skip(8)
    else if (wire === 5) skip(4)
    else if (wire === 2) {
      const length = varint()
      const start = at
      skip(length)
      yield { number, value: 0, int32: 0, bytes: message.subarray(start, at), from, to: at }
    } else throw malformed(`a field has the wire type ${wire}`)
  }

  function varint(): number {
    let value = 0
    let scale = 1
    int32 = 0
    for (let i = 0; i < maxVarintBytes; i++) {
      const byte = message[at++]
      if (byte === undefined) throw malformed('it ends inside a field')
      value += (byte & 0x7f) * scale
      if (i < 5) int32 |= (byte & 0x7f) << (7 * i)
      if (byte < 0x80) return value
      scale *= 128
    }
    throw malformed('a number in it has no end')
  }

  function skip(length: number): void {
    at += length
    if (at > message.length) throw malformed('it ends inside a field')
  }
}

function malformed(how: string): Error {
  return new Error(`The bytes are not a protobuf message: ${how}.`)
}
