import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { TimesByUnit } from './times-by-unit.ts'

/** The first byte of encoded counts. */
const format = 2

/**
 * The counts of servers for the candidate or the champion of a rollout. A request that got both counts on both sides.
 */
export class SideCounts {
  /** Answered and failed. */
  requests = 0
  /** The rows of answered requests. */
  rows = 0
  /** Rows of the candidate that the champion answered in its place. */
  bypassedRows = 0
  /** How often a server began to bypass the candidate. */
  bypasses = 0
  /** Failed requests by error code. */
  readonly errors = new Map<string, number>()
  /** The times of answered requests. */
  latency = new TimesByUnit()

  addError(code: string, count = 1): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + count)
  }

  merge(other: SideCounts): void {
    this.requests += other.requests
    this.rows += other.rows
    this.bypassedRows += other.bypassedRows
    this.bypasses += other.bypasses
    for (const [code, count] of other.errors) this.addError(code, count)
    this.latency.merge(other.latency)
  }

  encode(): Buffer {
    const writer = new ByteWriter()
    writer.byte(format)
    for (const count of [this.requests, this.rows, this.bypassedRows, this.bypasses, this.errors.size]) writer.uint(count)
    for (const [code, count] of this.errors) {
      writer.string(code)
      writer.uint(count)
    }
    this.latency.encode(writer)
    return writer.bytes()
  }

  /** null: a later version of Lockstep wrote the bytes. */
  static decode(bytes: Uint8Array): SideCounts | null {
    const reader = new ByteReader(bytes)
    if (reader.byte() !== format) return null
    const counts = new SideCounts()
    counts.requests = reader.uint()
    counts.rows = reader.uint()
    counts.bypassedRows = reader.uint()
    counts.bypasses = reader.uint()
    for (let left = reader.uint(); left > 0; left--) {
      const code = reader.string()
      counts.errors.set(code, reader.uint())
    }
    counts.latency = TimesByUnit.decode(reader)
    return counts
  }
}
