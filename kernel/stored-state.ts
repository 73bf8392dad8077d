import { ByteWriter } from './binary.ts'
import { LockstepError } from './errors.ts'
import type { EntityState } from './state.ts'
import type { ViewPlan } from './view-plan.ts'

/**
 * What an online store keeps under (view version, entity):
 *
 *     byte 0        format version (1)
 *     bytes 1..8    arrival frontier: float64, every committed row with `_xid` below it is folded or pending
 *     bytes 9..16   high-water mark H: float64 epoch microseconds, -Infinity where nothing is folded
 *     bytes 17..    canonical body (`EntityState.encode`)
 */
export const storedFormat = 1
export const frontierOffset = 1
export const storedHeaderBytes = 17

const scratch = new ByteWriter(4096)

export function encodeStored(state: EntityState, frontier: number): Buffer {
  scratch.reset()
  scratch.byte(storedFormat)
  scratch.float64(frontier)
  scratch.float64(state.highWater)
  state.encode(scratch)
  return scratch.bytes()
}

export interface StoredHeader {
  readonly frontier: number
  readonly highWater: number
}

/** @throws LockstepError `STATE_VERSION` for bytes of another format, `STATE_CORRUPT` for bytes that are not ours */
export function readHeader(bytes: Uint8Array, what: string): StoredHeader {
  if (bytes.length < storedHeaderBytes) {
    throw new LockstepError(
      'STATE_CORRUPT',
      `The online state of "${what}" is ${bytes.length} bytes, too short to be one; another program may write to this store. Materialize the view again.`,
    )
  }
  if (bytes[0] !== storedFormat) {
    throw new LockstepError(
      'STATE_VERSION',
      `The online state of "${what}" has format ${bytes[0]}, and this build reads ${storedFormat}; use the build that wrote it, or materialize the view again.`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { frontier: view.getFloat64(frontierOffset, true), highWater: view.getFloat64(frontierOffset + 8, true) }
}

/** The state in stored bytes. @throws as `readHeader` */
export function decodeStored(plan: ViewPlan, bytes: Uint8Array): EntityState {
  const { highWater } = readHeader(bytes, plan.id)
  return plan.decodeState(bytes.subarray(storedHeaderBytes), highWater)
}
