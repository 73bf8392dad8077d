import type { ByteReader } from '../values/binary.ts'
import { ByteWriter, passingReader } from '../values/binary.ts'
import { checkSum } from '../values/check-sum.ts'
import { LockstepError } from '../errors.ts'
import type { Frontier } from './frontier.ts'
import { readFrontier, writeFrontier } from './frontier.ts'
import { intBytes } from './greatest-bytes.ts'
import type { EntityState } from './state.ts'
import type { ViewPlan } from '../view-plan.ts'

/**
 * The bytes that an online store keeps for an entity of a view version:
 *
 *     head     byte 0       format version (4)
 *              then         arrival frontier: `below` (usually 4 or 5 bytes) and the ranges beyond it (usually one
 *                           byte: none)
 *     then     4 bytes      checksum of all other bytes (`checkSum`), little-endian
 *     then     8 bytes      high-water mark H: float64 epoch microseconds, -Infinity if nothing is folded
 *     then                  canonical body (`EntityState.encode`)
 *
 * The frontier is the set of transactions whose rows of this entity are in the state, folded or pending.
 * Compare-and-set compares the head and writes all bytes. Format 3 has no checksum. It is still read, and the next
 * write of the state uses format 4.
 */
const storedFormat = 4
const withoutSum = 3
const sumBytes = 4
/** Later formats stay below ASCII letters and digits, with which values of other programs begin. */
const greatestFormat = 31
const highWaterBytes = 8
const minBytes = 1 + 1 + 1 + highWaterBytes
/**
 * The maximum bytes before the body if the frontier has no ranges. Each range of rows pushed since the last run adds a
 * few bytes.
 */
export const storedHeaderBytes = 1 + intBytes(Number.MAX_SAFE_INTEGER) + 1 + sumBytes + highWaterBytes

const scratch = new ByteWriter(4096)

export function encodeStored(state: Pick<EntityState, 'highWater' | 'encode'>, frontier: Frontier): Buffer {
  scratch.reset()
  const headEnd = beginStored(scratch, frontier)
  scratch.float64(state.highWater)
  state.encode(scratch)
  return sealed(scratch, headEnd)
}

/** Writes the head and reserves space for the checksum. @returns the offset of the head's end */
export function beginStored(writer: ByteWriter, frontier: Frontier): number {
  writer.byte(storedFormat)
  writeFrontier(writer, frontier)
  return writer.skip(sumBytes)
}

/** The bytes written since `beginStored`, with their checksum. */
export function sealed(writer: ByteWriter, headEnd: number): Buffer {
  const bytes = writer.bytes()
  bytes.writeUInt32LE(sumOf(bytes, headEnd), headEnd)
  return bytes
}

function sumOf(bytes: Uint8Array, headEnd: number): number {
  return checkSum(bytes, headEnd + sumBytes, bytes.length, checkSum(bytes, 0, headEnd, 0))
}

export interface StoredHeader {
  readonly frontier: Frontier
  readonly highWater: number
  /** The offset of the head's end. */
  readonly headEnd: number
  /** The offset of the body. */
  readonly bodyAt: number
}

/**
 * @throws LockstepError `STATE_VERSION` for bytes of another format, `STATE_CORRUPT` for foreign bytes or damaged ones
 *   (`isDamaged`)
 */
export function readHeader(bytes: Uint8Array, what: string): StoredHeader {
  if (bytes.length < minBytes) {
    throw new LockstepError(
      'STATE_CORRUPT',
      `The online state of "${what}" is ${bytes.length} bytes, too short for a state; another program may write to this store. Materialize the view again.`,
    )
  }
  const format = bytes[0] as number
  if (format === 0 || format > greatestFormat) {
    throw new LockstepError(
      'STATE_CORRUPT',
      `The online state of "${what}" starts with the byte ${format}, which Lockstep never writes; another program may write to this store. Materialize the view again.`,
    )
  }
  if (format !== storedFormat && format !== withoutSum) {
    throw new LockstepError(
      'STATE_VERSION',
      `The online state of "${what}" has format ${format}, but this version reads ${storedFormat}. Use the version that wrote it, or rebuild the view (lockstep materialize --rebuild).`,
    )
  }
  const reader = passingReader(bytes, 1)
  const frontier = format === storedFormat ? frontierOf(reader, what) : readFrontier(reader)
  const headEnd = reader.offset
  if (format === storedFormat) {
    // a damaged frontier may appear to end anywhere
    if (headEnd + sumBytes + highWaterBytes > bytes.length || sumIn(bytes, headEnd) !== sumOf(bytes, headEnd)) throw damaged(what)
    reader.skip(sumBytes)
  }
  return { frontier, highWater: reader.float64(), headEnd, bodyAt: reader.offset }
}

function frontierOf(reader: ByteReader, what: string): Frontier {
  try {
    return readFrontier(reader)
  } catch {
    throw damaged(what)
  }
}

function damaged(what: string): LockstepError {
  return new LockstepError(
    'STATE_CORRUPT',
    `An online state of "${what}" is damaged: its checksum does not match. It is not used; the next run that writes it rebuilds it from all its rows.`,
    { details: { view: what, damaged: true } },
  )
}

function sumIn(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0
  )
}

/** The format of bytes that an earlier build wrote; null if they have the current format. */
export function earlierFormat(bytes: Uint8Array): number | null {
  return bytes[0] === storedFormat ? null : (bytes[0] as number)
}

/** Whether the error reports stored bytes whose checksum does not match. */
export function isDamaged(error: unknown): error is LockstepError {
  return error instanceof LockstepError && error.code === 'STATE_CORRUPT' && error.details['damaged'] === true
}

/** Returns null for damaged bytes, which count as no state. @throws otherwise as `readHeader` */
export function soundHeader(bytes: Uint8Array, what: string): StoredHeader | null {
  try {
    return readHeader(bytes, what)
  } catch (error) {
    if (isDamaged(error)) return null
    throw error
  }
}

/** The value that compare-and-set expects after `bytes` were read: their head, or all bytes if they are damaged. */
export function expectedBytes(bytes: Buffer, header: StoredHeader | null): Buffer {
  return header === null ? Buffer.from(bytes) : stateHead(bytes, header)
}

/** The bytes that compare-and-set compares: format and frontier. No head is a prefix of another head. */
export function stateHead(bytes: Uint8Array, { headEnd }: StoredHeader): Buffer {
  // a copy, so that it does not keep the complete state in memory
  return Buffer.from(bytes.subarray(0, headEnd))
}

/** The same state under another frontier. */
export function underFrontier(bytes: Uint8Array, { bodyAt }: StoredHeader, frontier: Frontier): Buffer {
  scratch.reset()
  const headEnd = beginStored(scratch, frontier)
  scratch.raw(bytes.subarray(bodyAt - highWaterBytes))
  return sealed(scratch, headEnd)
}

/** The state in stored bytes. @throws as `readHeader` */
export function decodeStored(plan: ViewPlan, bytes: Uint8Array): EntityState {
  const { highWater, bodyAt } = readHeader(bytes, plan.id)
  return plan.decodeState(bytes.subarray(bodyAt), highWater)
}
