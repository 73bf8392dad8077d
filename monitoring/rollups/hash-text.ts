/**
 * A hash of 53 bits, the same in every process: two lanes of multiplications over the UTF-16 code units, then mixed
 * (cyrb53 by bryc, public domain). Rollups keep the entities and categories with the smallest hashes.
 */
export function hashText(text: string): number {
  let one = 0xdeadbeef
  let two = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    one = Math.imul(one ^ unit, 0x9e3779b1)
    two = Math.imul(two ^ unit, 0x5f356495)
  }
  one = Math.imul(one ^ (one >>> 16), 0x85ebca6b) ^ Math.imul(two ^ (two >>> 13), 0xc2b2ae35)
  two = Math.imul(two ^ (two >>> 16), 0x85ebca6b) ^ Math.imul(one ^ (one >>> 13), 0xc2b2ae35)
  return (two & 0x1fffff) * 2 ** 32 + (one >>> 0)
}
