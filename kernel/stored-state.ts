import { ByteWriter, passingReader } from './binary.ts'
import { LockstepError } from './errors.ts'
import type { Frontier } from './frontier.ts'
import { readFrontier, writeFrontier } from './frontier.ts'
import { intBytes } from './greatest-bytes.ts'
import type { EntityState } from './state.ts'
import type { ViewPlan } from './view-plan.ts'

/**
 * What an online store keeps under (view version, entity):
 *
 *     head     byte 0       format version (3)
 *              then         arrival frontier: `below`, most often 4 or 5 bytes, and the ranges beyond it; most often one byte says that there are none
 *     then     8 bytes      high-water mark H: float64 epoch microseconds, -Infinity where nothing is folded
 *     then                  canonical body (`EntityState.encode`)
 *
 * The frontier is the set of transactions of which every row of this entity is folded or pending, and no other row is. Writers compare the head and set the whole.
 */
export const storedFormat = 3
/** Formats to come stay below the letters and digits that other programs' values begin with. */
const greatestFormat = 31
const highWaterBytes = 8
const leastBytes = 1 + 1 + 1 + highWaterBytes
/** At most, before the body, where the frontier has no ranges. Ranges come and go: a few bytes each for what was pushed since the last run. */
export const storedHeaderBytes = 1 + intBytes(Number.MAX_SAFE_INTEGER) + 1 + highWaterBytes

const scratch = new ByteWriter(4096)

export function encodeStored(state: EntityState, frontier: Frontier): Buffer {
  scratch.reset()
  scratch.byte(storedFormat)
  writeFrontier(scratch, frontier)
  scratch.float64(state.highWater)
  state.encode(scratch)
  return scratch.bytes()
}

export interface StoredHeader {
  readonly frontier: Frontier
  readonly highWater: number
  /** Where the body begins. */
  readonly bodyAt: number
}

/** @throws LockstepError `STATE_VERSION` for bytes of another format, `STATE_CORRUPT` for bytes that are not ours */
export function readHeader(bytes: Uint8Array, what: string): StoredHeader {
  if (bytes.length < leastBytes) {
    throw new LockstepError(
      'STATE_CORRUPT',
      `The online state of "${what}" is ${bytes.length} bytes, too short to be one; another program may write to this store. Materialize the view again.`,
    )
  }
  const format = bytes[0] as number
  if (format === 0 || format > greatestFormat) {
    throw new LockstepError(
      'STATE_CORRUPT',
      `The online state of "${what}" begins with a byte ${format}, which no build writes; another program may write to this store. Materialize the view again.`,
    )
  }
  if (format !== storedFormat) {
    throw new LockstepError(
      'STATE_VERSION',
      `The online state of "${what}" has format ${format}, and this build reads ${storedFormat}; use the build that wrote it, or rebuild the view (lockstep materialize --rebuild).`,
    )
  }
  const reader = passingReader(bytes, 1)
  const frontier = readFrontier(reader)
  return { frontier, highWater: reader.float64(), bodyAt: reader.offset }
}

/** What of stored bytes compare-and-set compares: format and frontier. No head begins with another one. */
export function headOf(bytes: Uint8Array, { bodyAt }: StoredHeader): Buffer {
  // a copy, so that it does not keep the whole state
  return Buffer.from(bytes.subarray(0, bodyAt - highWaterBytes))
}

/** The same state under another frontier. */
export function underFrontier(bytes: Uint8Array, { bodyAt }: StoredHeader, frontier: Frontier): Buffer {
  scratch.reset()
  scratch.byte(storedFormat)
  writeFrontier(scratch, frontier)
  scratch.raw(bytes.subarray(bodyAt - highWaterBytes))
  return scratch.bytes()
}

/** The state in stored bytes. @throws as `readHeader` */
export function decodeStored(plan: ViewPlan, bytes: Uint8Array): EntityState {
  const { highWater, bodyAt } = readHeader(bytes, plan.id)
  return plan.decodeState(bytes.subarray(bodyAt), highWater)
}
