import type { ByteReader, ByteWriter } from './binary.ts'
import type { OrderKey } from './state.ts'

/**
 * The total order's key: event time, known time, tie. One byte first says whether the known time is the event time and
 * what the tie is.
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
