import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKeyPart, keyBytes, maxKeyBytes } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import { showKey } from '../../kernel/values/show-key.ts'
import { microsAt, timeOutside } from './tuple-values.ts'

/**
 * Reads the key parts at the head of a tuple. Streams are ordered by key, so the string is made only where the bytes
 * differ from the last.
 */
export interface KeyReader {
  /** `at`: where the first key field's length stands. */
  read(bytes: Buffer, view: DataView, at: number): EntityKey
  /** Where the field after the key begins, once `read` has returned. */
  end(): number
}

export function keyReader(parts: readonly Column<KeyType>[], what: string): KeyReader {
  let last = Buffer.alloc(64)
  let lastLength = -1
  let key: EntityKey = ''
  let end = 0
  return {
    read(bytes, view, at) {
      end = at
      for (let i = 0; i < parts.length; i++) end += 4 + view.getInt32(end)
      const length = end - at
      if (length === lastLength) {
        let i = 0
        while (i < length && bytes[at + i] === last[i]) i++
        if (i === length) return key
      }
      key = makeKey(parts, what, bytes, view, at)
      if (key.length > maxKeyBytes && keyBytes(parts, key) > maxKeyBytes) {
        throw new LockstepError(
          'INVALID_ROW',
          `The key of a row of ${what} is ${keyBytes(parts, key)} bytes long, where at most ${maxKeyBytes} are allowed: ${showKey(parts, key)}. Correct or delete the row.`,
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

/**
 * PostgreSQL sends integers in two's complement, big-endian; with the sign bit turned they sort as bytes, as
 * `encodeKey` wants them.
 */
function makeKey(parts: readonly Column<KeyType>[], what: string, bytes: Buffer, view: DataView, start: number): EntityKey {
  let key = ''
  let at = start
  for (let i = 0; i < parts.length; i++) {
    const { name, type } = parts[i] as Column<KeyType>
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
      case 'timestamp': {
        const micros = microsAt(view, at)
        if (!Number.isSafeInteger(micros)) {
          const before = i === 0 ? '' : ` with key ${showKey(parts.slice(0, i), key)}`
          throw timeOutside(`The key "${name}" of a row of ${what}${before}`, micros)
        }
        key += encodeKeyPart(type, micros)
        break
      }
      default:
        type.kind satisfies never
    }
    at += length
  }
  return key
}
