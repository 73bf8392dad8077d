import { LockstepError } from '../errors.ts'
import type { Column, KeyType, Value } from './value-type.ts'
import { isValueOf, show, typeName } from './value-type.ts'

/**
 * An entity's key as a string of bytes (each character code 0 to 255) that sorts as PostgreSQL sorts the typed columns:
 * text as UTF-8 bytes (`COLLATE "C"`), numbers by value, false before true. So `a < b` in JavaScript is the order of
 * the database, equal keys are equal strings, and the same bytes name the entity in an online store. Composite keys are
 * unambiguous: text ends with a zero byte, which PostgreSQL text cannot hold; the other types have a fixed width.
 */
export type EntityKey = string

/**
 * Keys of more bytes are refused, the zero bytes that end texts not counted. A store keeps the key beside every state.
 */
export const maxKeyBytes = 1024

/** @throws LockstepError `INVALID_ENTITY` naming the part that is missing, of the wrong type or too long */
export function encodeKey(parts: readonly Column<KeyType>[], values: readonly unknown[]): EntityKey {
  let key = ''
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as Column<KeyType>
    const value = values[i]
    if (value === undefined || value === null) {
      throw new LockstepError('INVALID_ENTITY', `The entity lacks its key "${part.name}" (${typeName(part.type)}); send it.`)
    }
    if (!isValueOf(part.type, value)) {
      throw new LockstepError('INVALID_ENTITY', `The entity's key "${part.name}" is ${show(value)}, which is not ${typeName(part.type)}.`)
    }
    key += encodeKeyPart(part.type, value)
  }
  if (key.length > maxKeyBytes && keyBytes(parts, key) > maxKeyBytes) {
    throw new LockstepError('INVALID_ENTITY', `The entity's key is ${keyBytes(parts, key)} bytes long; at most ${maxKeyBytes} are allowed.`)
  }
  return key
}

/** How many bytes the values of a key have together. */
export function keyBytes(parts: readonly Column<KeyType>[], key: EntityKey): number {
  return key.length - parts.filter(({ type }) => type.kind === 'string').length
}

export function encodeKeyPart(type: KeyType, value: Value): string {
  switch (type.kind) {
    case 'string': {
      const text = value as string
      if (text.includes('\0'))
        throw new LockstepError('INVALID_ENTITY', `The key ${show(text)} contains a zero byte, which a key cannot have.`)
      if (!text.isWellFormed())
        throw new LockstepError(
          'INVALID_ENTITY',
          `The key ${show(text)} is not well-formed Unicode (it contains half of a surrogate pair).`,
        )
      return isAscii(text) ? `${text}\0` : `${Buffer.from(text, 'utf8').toString('latin1')}\0`
    }
    case 'bool':
      return value === true ? '\x01' : '\0'
    case 'int32':
      return fourBytes((value as number) + 2 ** 31)
    case 'int64':
      return eightBytes(value as bigint)
    case 'timestamp':
      return eightBytes(value as number)
    default:
      return type.kind satisfies never
  }
}

/** The inverse of `encodeKey`, for messages and for reading an entity back. */
export function decodeKey(parts: readonly Column<KeyType>[], key: EntityKey): Value[] {
  const bytes = Buffer.from(key, 'latin1')
  let at = 0
  return parts.map(({ type }) => {
    switch (type.kind) {
      case 'string': {
        const end = bytes.indexOf(0, at)
        const text = bytes.toString('utf8', at, end)
        at = end + 1
        return text
      }
      case 'bool':
        return bytes[at++] === 1
      case 'int32':
        at += 4
        return bytes.readUInt32BE(at - 4) - 2 ** 31
      case 'int64':
        at += 8
        return bytes.readBigUInt64BE(at - 8) - 2n ** 63n
      case 'timestamp':
        at += 8
        return Number(bytes.readBigUInt64BE(at - 8) - 2n ** 63n)
      default:
        return type.kind satisfies never
    }
  })
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** The bytes of a signed integer, which sort as the integers do. */
function eightBytes(value: number | bigint): string {
  const number = Number(value)
  if (Number.isSafeInteger(number)) {
    const high = Math.floor(number / 2 ** 32)
    return fourBytes(high + 2 ** 31) + fourBytes(number - high * 2 ** 32)
  }
  const buffer = Buffer.allocUnsafe(8)
  buffer.writeBigUInt64BE((value as bigint) + 2n ** 63n)
  return buffer.toString('latin1')
}

/** The bytes of an unsigned integer. */
function fourBytes(value: number): string {
  return String.fromCharCode(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}
