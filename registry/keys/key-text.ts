import { hash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * The text of an API key: `lockstep_sk_ID_SECRETCHECK`. ID is public, has 12 digits of base 62, and identifies the key.
 * SECRET has 32 digits, 190 random bits. CHECK is the CRC-32 of everything before it, in 6 digits. It exposes a
 * mistyped or invented key without a lookup, and lets a secret scanner recognize a key.
 */
const prefix = 'lockstep_sk_'
const pattern = /^lockstep_sk_([0-9A-Za-z]{12})_[0-9A-Za-z]{32}([0-9A-Za-z]{6})$/
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checkLength = 6

export interface NewKey {
  readonly id: string
  /** The key itself, which is shown once and never stored. */
  readonly text: string
  /** `keyHash` of the text. */
  readonly hash: Buffer
}

/** @param id default: a new one */
export function newKey(id = randomDigits(12)): NewKey {
  const body = `${prefix}${id}_${randomDigits(32)}`
  const text = body + checkOf(body)
  return { id, text, hash: keyHash(text) }
}

/** The id in a key's text; null if the text is not a key. */
export function keyId(text: string): string | null {
  const [, id, check] = pattern.exec(text) ?? []
  return id !== undefined && check === checkOf(text.slice(0, -checkLength)) ? id : null
}

/** SHA-256 of the text. A key has too many random bits to guess, so a slow hash would add no protection. */
export function keyHash(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

function checkOf(body: string): string {
  let rest = crc32(body)
  let check = ''
  for (let i = 0; i < checkLength; i++, rest = Math.floor(rest / 62)) check += digits[rest % 62]
  return check
}

/** All digits are equally likely: bytes of 248 (four times 62) and above are skipped. */
function randomDigits(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += digits[byte % 62]
  }
  return text
}
