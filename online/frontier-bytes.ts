/** A frontier as it stands in stored bytes (float64, little-endian), for comparing without decoding; empty for an absent key. */
export function frontierBytes(frontier: number | null): Buffer {
  if (frontier === null) return Buffer.alloc(0)
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(frontier + 0)
  return bytes
}
