import type { EntityKey } from '../kernel/entity-key.ts'
import { encodeKeyPart, maxKeyBytes } from '../kernel/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { Column, KeyType } from '../kernel/value-type.ts'
import { show } from '../kernel/value-type.ts'
import { microsAt } from './tuple-values.ts'

/** Reads the key parts at the head of a tuple. Streams are ordered by key, so the string is made only where the bytes differ from the last. */
export interface KeyReader {
  /** `at`: where the first key field's length stands. */
  read(bytes: Buffer, view: DataView, at: number): EntityKey
  /** Where the field after the key begins, once `read` has returned. */
  end(): number
}

export function keyReader(parts: readonly Column<KeyType>[], what: string): KeyReader {
  const types = parts.map((part) => part.type)
  let last = Buffer.alloc(64)
  let lastLength = -1
  let key: EntityKey = ''
  let end = 0
  return {
    read(bytes, view, at) {
      end = at
      for (let i = 0; i < types.length; i++) end += 4 + view.getInt32(end)
      const length = end - at
      if (length === lastLength) {
        let i = 0
        while (i < length && bytes[at + i] === last[i]) i++
        if (i === length) return key
      }
      key = makeKey(types, bytes, view, at)
      if (key.length > maxKeyBytes) {
        throw new LockstepError(
          'INVALID_ROW',
          `A row of ${what} has a key of ${key.length} bytes, which begins with ${show(Buffer.from(key.slice(0, 40), 'latin1').toString())}; at most ${maxKeyBytes} are allowed. Correct the row.`,
        )
      }
      if (length > last.length) last = Buffer.alloc(length * 2)
      bytes.copy(last, 0, at, end)
      lastLength = length
      return key
    },
    end: () => end,
  }
}

/** PostgreSQL sends integers in two's complement, big-endian; with the sign bit turned they sort as bytes, as `encodeKey` wants them. */
function makeKey(types: readonly KeyType[], bytes: Buffer, view: DataView, start: number): EntityKey {
  let key = ''
  let at = start
  for (const type of types) {
    const length = view.getInt32(at)
    at += 4
    switch (type.kind) {
      case 'string':
        key += `${bytes.toString('latin1', at, at + length)}\0`
        break
      case 'bool':
        key += bytes[at] === 1 ? '\x01' : '\0'
        break
      case 'int32':
      case 'int64':
        key += String.fromCharCode((bytes[at] as number) ^ 0x80) + bytes.toString('latin1', at + 1, at + length)
        break
      case 'timestamp':
        key += encodeKeyPart(type, finite(microsAt(view, at)))
        break
      default:
        type.kind satisfies never
    }
    at += length
  }
  return key
}

function finite(micros: number): number {
  if (!Number.isSafeInteger(micros))
    throw new LockstepError('INVALID_TIME', 'A time in a key is infinite or outside +-2^53 microseconds from 1970; correct the row.')
  return micros
}
