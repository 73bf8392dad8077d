import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { LatencyHistogram } from './latency-histogram.ts'

/** The first byte of an encoded summary. */
const format = 2

/** Parts of a request's time; `total` is all of it, from its arrival to its answer. */
export const stages = ['total', 'features', 'wait', 'run'] as const
export type Stage = (typeof stages)[number]

/** Ages are kept in the buckets of times: from 0.1 s to 155 days, within 5 %. */
const ageSecondsPerMs = 100

/** The age in seconds that the share `q` of all ages does not exceed; NaN: there are none. */
export function ageQuantile(ages: LatencyHistogram, q: number): number {
  return (ages.quantile(q) ?? Number.NaN) * ageSecondsPerMs
}

/** The counts of requests in a rollup. They are exact, and merge exactly. */
export class TrafficSummary {
  /** Answered and failed. */
  requests = 0
  /** The rows of answered requests. */
  rows = 0
  /** Rows whose values were taken. */
  sampledRows = 0
  /** Rows that the prediction cache answered. */
  cacheHits = 0
  /** The processor time of a process, all threads; 0 for a model. */
  cpuMicros = 0
  /** Failed requests by error code. */
  readonly errors = new Map<string, number>()
  /** Requests that the version failed and another one answered, by error code: neither requests nor errors here. */
  readonly bypassed = new Map<string, number>()
  /** For a process: the ages of each view in a sample of answers. `ageQuantile` reads them. */
  readonly ages = new Map<string, LatencyHistogram>()
  /** The times of answered requests. */
  readonly latency: Readonly<Record<Stage, LatencyHistogram>> = {
    total: new LatencyHistogram(),
    features: new LatencyHistogram(),
    wait: new LatencyHistogram(),
    run: new LatencyHistogram(),
  }

  addError(code: string, count = 1): void {
    add(this.errors, code, count)
  }

  addBypassed(code: string, count = 1): void {
    add(this.bypassed, code, count)
  }

  addAge(view: string, seconds: number): void {
    this.#agesOf(view).observe(seconds / ageSecondsPerMs)
  }

  #agesOf(view: string): LatencyHistogram {
    let ages = this.ages.get(view)
    if (ages === undefined) this.ages.set(view, (ages = new LatencyHistogram()))
    return ages
  }

  merge(other: TrafficSummary): void {
    this.requests += other.requests
    this.rows += other.rows
    this.sampledRows += other.sampledRows
    this.cacheHits += other.cacheHits
    this.cpuMicros += other.cpuMicros
    for (const [code, count] of other.errors) this.addError(code, count)
    for (const [code, count] of other.bypassed) this.addBypassed(code, count)
    for (const [view, ages] of other.ages) this.#agesOf(view).merge(ages)
    for (const stage of stages) this.latency[stage].merge(other.latency[stage])
  }

  /** Equal summaries give equal bytes. */
  encode(): Buffer {
    const writer = new ByteWriter()
    writer.byte(format)
    for (const count of [this.requests, this.rows, this.sampledRows, this.cacheHits, this.cpuMicros]) writer.uint(count)
    encodeCounts(writer, this.errors)
    for (const stage of stages) this.latency[stage].encode(writer)
    writer.uint(this.ages.size)
    for (const [view, ages] of [...this.ages].sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.string(view)
      ages.encode(writer)
    }
    encodeCounts(writer, this.bypassed)
    return writer.bytes()
  }

  /** null: a later version of Lockstep wrote the bytes. */
  static decode(bytes: Uint8Array): TrafficSummary | null {
    const traffic = new TrafficSummary()
    return traffic.mergeEncoded(bytes) ? traffic : null
  }

  /** Merges an encoded summary. @returns false: a later version of Lockstep wrote the bytes, and nothing was merged */
  mergeEncoded(bytes: Uint8Array): boolean {
    const reader = new ByteReader(bytes)
    if (reader.byte() !== format) return false
    this.requests += reader.uint()
    this.rows += reader.uint()
    this.sampledRows += reader.uint()
    this.cacheHits += reader.uint()
    this.cpuMicros += reader.uint()
    mergeCounts(reader, this.errors)
    for (const stage of stages) this.latency[stage].mergeEncoded(reader)
    for (let left = reader.uint(); left > 0; left--) this.#agesOf(reader.string()).mergeEncoded(reader)
    mergeCounts(reader, this.bypassed)
    return true
  }
}

function add(counts: Map<string, number>, code: string, count: number): void {
  counts.set(code, (counts.get(code) ?? 0) + count)
}

function encodeCounts(writer: ByteWriter, counts: ReadonlyMap<string, number>): void {
  writer.uint(counts.size)
  for (const [code, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    writer.string(code)
    writer.uint(count)
  }
}

function mergeCounts(reader: ByteReader, counts: Map<string, number>): void {
  for (let left = reader.uint(); left > 0; left--) add(counts, reader.string(), reader.uint())
}
