/**
 * Shorter texts are joined as a text, which is faster than to write each of them. V8 copies longer ones to new memory.
 */
const longText = 100_000

/**
 * The body of an answer made of texts. A long one is made as bytes at once: as a text it would be copied when it is
 * joined, when the head of the answer is put before it, and when it is encoded.
 */
export function joinedBody(texts: readonly string[]): string | Uint8Array<ArrayBuffer> {
  let length = 0
  for (const text of texts) length += text.length
  if (length < longText) return texts.join('')
  let size = 0
  for (const text of texts) size += Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = 0
  // text that is ASCII is the same in Latin 1, which is copied as it is
  for (const text of texts) at += bytes.write(text, at, size === length ? 'latin1' : 'utf8')
  return bytes
}
