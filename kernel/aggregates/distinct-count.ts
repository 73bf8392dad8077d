import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { fixedBytes, uintBytes } from '../states/greatest-bytes.ts'
import { HyperLogLog, registerBytes } from '../states/hyper-log-log.ts'
import type { FoldRow } from '../states/state.ts'
import type { Hashable } from '../values/value-hash.ts'
import { hash, hashValue } from '../values/value-hash.ts'
import { isValueOf } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/**
 * The maximum number of values that are counted exactly. Their hashes take as many bytes as the registers that replace
 * them.
 */
const exactUpTo = 512

/**
 * The number of distinct non-null values; zero if there are none. NaN is one value. The count is exact up to 512,
 * except for two strings with the same 64-bit hash (less than one chance in 10^14). Above 512 it is a HyperLogLog
 * estimate with a standard error of 1.6 %: 95 of 100 answers are within 3.3 %.
 */
export function distinctCount(slot: number): Aggregate<DistinctAccumulator> {
  return {
    lane: `distinct:${slot}`,
    create: () => new DistinctAccumulator(slot),
    decode: (reader) => DistinctAccumulator.decode(slot, reader),
    value: (accumulator) => {
      const count = accumulator.count()
      return isValueOf({ kind: 'int32' }, count) ? count : undefined
    },
    greatestBytes: () => fixedBytes(uintBytes(exactUpTo + 1) + Math.max(exactUpTo * 8, uintBytes(registerBytes) + registerBytes)),
  }
}

const bits = new DataView(new ArrayBuffer(8))

/** Holds a set of hashes while it is small, and registers afterwards. Only the values decide which of the two. */
class DistinctAccumulator implements Accumulator {
  readonly #slot: number
  /**
   * The number of occurrences of each hash. It is not part of the value or the bytes, but shows when the last one has
   * left a window. After decoding it is one.
   */
  #hashes = new Map<bigint, number>()
  #registers: HyperLogLog | null = null

  constructor(slot: number) {
    this.#slot = slot
  }

  static decode(slot: number, reader: ByteReader): DistinctAccumulator {
    const accumulator = new DistinctAccumulator(slot)
    const size = reader.uint()
    if (size > exactUpTo) accumulator.#registers = new HyperLogLog(Uint8Array.from(reader.blob()))
    else for (let left = size; left > 0; left--) accumulator.#hashes.set(reader.bigint64(), 1)
    return accumulator
  }

  count(): number {
    return this.#registers === null ? this.#hashes.size : this.#registers.estimate()
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as Hashable | null
    if (value === null) return
    hashValue(value)
    if (this.#registers !== null) {
      this.#registers.add(hash.high, hash.low)
      return
    }
    bits.setUint32(0, hash.high)
    bits.setUint32(4, hash.low)
    this.#put(bits.getBigInt64(0), 1)
  }

  merge(other: DistinctAccumulator): void {
    if (other.#registers === null) {
      for (const [one, times] of other.#hashes) this.#put(one, times)
      return
    }
    this.#estimated().merge(other.#registers)
  }

  /** Registers do not record how many hashes set them. */
  remove(other: DistinctAccumulator): boolean {
    if (other.#registers !== null) return false
    if (this.#registers !== null) return other.#hashes.size === 0
    for (const [one, times] of other.#hashes) {
      const left = (this.#hashes.get(one) ?? 0) - times
      if (left < 0) return false
      if (left === 0) this.#hashes.delete(one)
      else this.#hashes.set(one, left)
    }
    return true
  }

  /**
   * Writes the number of hashes, then the hashes in ascending order. A number above the limit stands for the registers.
   */
  encode(writer: ByteWriter): void {
    if (this.#registers !== null) {
      writer.uint(exactUpTo + 1)
      writer.blob(this.#registers.registers)
      return
    }
    writer.uint(this.#hashes.size)
    for (const one of [...this.#hashes.keys()].sort((a, b) => (a < b ? -1 : 1))) writer.bigint64(one)
  }

  #put(one: bigint, times: number): void {
    if (this.#registers !== null) {
      bits.setBigInt64(0, one)
      this.#registers.add(bits.getUint32(0), bits.getUint32(4))
      return
    }
    this.#hashes.set(one, (this.#hashes.get(one) ?? 0) + times)
    if (this.#hashes.size > exactUpTo) this.#estimated()
  }

  /** The registers, made from the set if necessary. */
  #estimated(): HyperLogLog {
    if (this.#registers !== null) return this.#registers
    const hashes = this.#hashes
    this.#hashes = new Map()
    this.#registers = new HyperLogLog()
    for (const one of hashes.keys()) this.#put(one, 1)
    return this.#registers
  }
}
