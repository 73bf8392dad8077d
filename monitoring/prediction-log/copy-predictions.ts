import { postgresEpochMicros } from '../../kernel/time.ts'
import { copyHeader, copyTrailer } from '../../runtime/copy-pieces.ts'
import type { SnapshotBounds } from '../../runtime/snapshot-bounds.ts'
import { CopyBuffer } from '../../offline/copy-buffer.ts'

/** What is logged of one entity of a request (`PredictionLogTable` in migrations/schema.ts). Members that are JSON are texts. */
export interface LoggedPrediction {
  /** Epoch microseconds, as `asOf`. */
  readonly at: number
  readonly requestId: string
  readonly entity: number
  readonly model: string
  readonly version: number
  readonly service: string
  readonly serviceFingerprint: string
  readonly asOf: number
  readonly entities: readonly Uint8Array[]
  readonly keys: string
  readonly request: string
  readonly features: string
  readonly statuses: string
  readonly reads: string
  readonly outputs: string
  readonly latencyMicros: number
  readonly apiKey: string | null
  readonly degraded: boolean
  readonly skewed: boolean
  /** The transactions that had ended when it was answered, or a moment before. */
  readonly snapshot: SnapshotBounds
}

const columns = [
  'at',
  'request_id',
  'entity',
  'model',
  'version',
  'service',
  'service_fingerprint',
  'as_of',
  'entities',
  'keys',
  'request',
  'features',
  'statuses',
  'reads',
  'outputs',
  'latency_micros',
  'api_key',
  'degraded',
  'skewed',
  'snapshot',
]

export const copyPredictions = `COPY lockstep.prediction_log (${columns.join(', ')}) FROM STDIN (FORMAT binary)`

const byteaOid = 17

/** Rows for `copyPredictions`. */
export interface PredictionCopy {
  readonly rows: number
  add(row: LoggedPrediction): void
  /** All of the COPY; nothing may be added after it. */
  finish(): Buffer[]
}

export function createPredictionCopy(): PredictionCopy {
  const out = new CopyBuffer()
  out.raw(copyHeader)
  let rows = 0

  function time(micros: number): void {
    out.int32(8)
    out.int64(BigInt(micros) - BigInt(postgresEpochMicros))
  }

  function integer(value: number): void {
    out.int32(4)
    out.int32(value)
  }

  function flag(value: boolean): void {
    out.int32(1)
    out.byte(value ? 1 : 0)
  }

  /** One dimension, no nulls, lower bound 1; an empty array has no dimension. */
  function byteas(values: readonly Uint8Array[]): void {
    const size = values.reduce((sum, value) => sum + 4 + value.length, values.length === 0 ? 12 : 20)
    out.int32(size)
    out.int32(values.length === 0 ? 0 : 1)
    out.int32(0)
    out.int32(byteaOid)
    if (values.length === 0) return
    out.int32(values.length)
    out.int32(1)
    for (const value of values) {
      out.int32(value.length)
      out.raw(value)
    }
  }

  function snapshot({ xmin, xmax, running }: SnapshotBounds): void {
    out.int32(4 + 8 * (2 + running.length))
    out.int32(running.length)
    for (const xid of [xmin, xmax, ...running]) out.int64(xid)
  }

  return {
    get rows() {
      return rows
    },
    add(row) {
      rows++
      out.int16(columns.length)
      time(row.at)
      out.text(row.requestId)
      integer(row.entity)
      out.text(row.model)
      integer(row.version)
      out.text(row.service)
      out.text(row.serviceFingerprint)
      time(row.asOf)
      byteas(row.entities)
      for (const text of [row.keys, row.request, row.features, row.statuses, row.reads, row.outputs]) out.text(text)
      integer(row.latencyMicros)
      if (row.apiKey === null) out.int32(-1)
      else out.text(row.apiKey)
      flag(row.degraded)
      flag(row.skewed)
      snapshot(row.snapshot)
    },
    finish() {
      out.raw(copyTrailer)
      return out.takeRest()
    },
  }
}
