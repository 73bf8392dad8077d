/** Of a cluster. */
export const slots = 16_384

/**
 * The cluster slot of a key, 0 to 16383: CRC-16/XMODEM of what stands between its first braces, or of all of it where
 * nothing does, modulo 16384.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model
 */
export function keySlot(text: string): number {
  const key = Buffer.from(text)
  let [start, end] = [0, key.length]
  const open = key.indexOf(0x7b)
  const close = open < 0 ? -1 : key.indexOf(0x7d, open + 1)
  if (close > open + 1) [start, end] = [open + 1, close]
  let crc = 0
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ (table[((crc >> 8) ^ (key[i] as number)) & 0xff] as number)
  return crc & (slots - 1)
}

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})
