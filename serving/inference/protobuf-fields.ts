/** One field of a protobuf message, as it stands in the bytes. */
export interface ProtobufField {
  readonly number: number
  /** Of a varint; of a fixed-width field 0, whose value nobody here asks for. Exact below 2^53. */
  readonly value: number
  /** Of a length-delimited field, a view of the message's bytes; else empty. */
  readonly bytes: Uint8Array
}

const nothing = new Uint8Array(0)
const maxVarintBytes = 10

/**
 * Walks the fields of a protobuf message in their order, without copying: what nobody descends into, such as weights, is stepped over.
 *
 * @throws Error where the bytes are no protobuf message
 */
export function* protobufFields(message: Uint8Array): Generator<ProtobufField> {
  let at = 0
  while (at < message.length) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    if (number === 0) throw malformed('a field has the number 0')
    const wire = tag % 8
    if (wire === 0) yield { number, value: varint(), bytes: nothing }
    else if (wire === 1) skip(8)
    else if (wire === 5) skip(4)
    else if (wire === 2) {
      const length = varint()
      const from = at
      skip(length)
      yield { number, value: 0, bytes: message.subarray(from, at) }
    } else throw malformed(`a field has the wire type ${wire}`)
  }

  function varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < maxVarintBytes; i++) {
      const byte = message[at++]
      if (byte === undefined) throw malformed('it ends within a field')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw malformed('a number in it has no end')
  }

  function skip(length: number): void {
    at += length
    if (at > message.length) throw malformed('it ends within a field')
  }
}

function malformed(how: string): Error {
  return new Error(`The bytes are no protobuf message: ${how}.`)
}
