import type { ByteReader, ByteWriter } from './binary.ts'
import type { OrderKey } from '../states/state.ts'

/**
 * Writes the key of the total order: event time, known time, tie. Its first byte says whether the known time equals the
 * event time, and what the tie is.
 */
export function writeOrderKey(writer: ByteWriter, key: OrderKey): void {
  const sameTime = key.knownTime === key.eventTime
  writer.byte((sameTime ? 1 : 0) | (typeof key.tie === 'number' ? 0 : 2))
  writer.int(key.eventTime)
  if (!sameTime) writer.int(key.knownTime)
  if (typeof key.tie === 'number') writer.int(key.tie)
  else writer.blob(Buffer.from(key.tie, 'latin1'))
}

export function readOrderKey(reader: ByteReader): OrderKey {
  const flags = reader.byte()
  const eventTime = reader.int()
  const knownTime = (flags & 1) !== 0 ? eventTime : reader.int()
  const tie = (flags & 2) === 0 ? reader.int() : reader.blob().toString('latin1')
  return { eventTime, knownTime, tie }
}
