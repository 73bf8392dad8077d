import { randomBytes } from 'node:crypto'
import { frontierOf } from '../../kernel/frontier.ts'
import type { ServedEntity } from '../../kernel/service-plan.ts'
import type { Status } from '../../kernel/state.ts'
import type { Value } from '../../kernel/value-type.ts'
import { openSpool } from '../../offline/spool.ts'
import type { Database } from '../../runtime/database.ts'
import { parseSnapshot } from '../../runtime/snapshot-bounds.ts'
import { dayOf } from '../day-partitions.ts'
import { copyPredictions, createPredictionCopy } from '../prediction-log/copy-predictions.ts'
import { encodePredictions } from '../prediction-log/encode-predictions.ts'
import { forgetErased } from '../prediction-log/forget-erased.ts'
import { makePartitions } from '../prediction-log/partitions.ts'
import type { RollupDays } from '../rollups/merge-rollups.ts'
import { stepMicros } from '../rollups/merged-rollups.ts'
import type { BaselineBins, RecordedVersion } from '../rollups/row-recorder.ts'
import { createHourRollups } from './hour-rollups.ts'

/** A row of the past, with what a version answers for it. */
export interface BackfilledRow {
  /** null: it gets one. */
  readonly id: string | null
  /** The moment under which it is logged, epoch microseconds. */
  readonly at: number
  /** The moment of its features, epoch microseconds. */
  readonly asOf: number
  readonly entity: ServedEntity
  /** By index of the service's features. */
  readonly values: readonly (Value | null)[]
  readonly statuses: readonly Status[]
  readonly prediction: readonly (Value | null)[]
}

/**
 * Writes predictions of past rows to the prediction log and to the rollups, as if a server had answered them then. The
 * rows wait in a temporary file until `finish`, and nothing else asks the database before: a join may hold it.
 */
export interface BackfillWriter {
  add(row: BackfilledRow): Promise<void>
  /** Writes everything, in place of what an earlier backfill of the version wrote in these hours. */
  finish(signal?: AbortSignal): Promise<BackfilledWindow>
  close(): Promise<void>
}

/** Epoch microseconds, [from, to), in complete hours; null: there were no rows. */
export type BackfilledWindow = { readonly from: number; readonly to: number } | null

export interface BackfillOptions {
  readonly model: string
  readonly version: number
  readonly recorded: RecordedVersion
  /** The baseline of the version. */
  readonly baseline: BaselineBins | null
  /** The rows that the features include: `pg_current_snapshot()` before they were read. */
  readonly snapshot: string
  readonly rollupDays: RollupDays
  /** Epoch microseconds. */
  readonly now: number
}

const role = 'backfill'

export async function createBackfillWriter(db: Database, options: BackfillOptions): Promise<BackfillWriter> {
  const { model, version, recorded, baseline, snapshot, rollupDays, now } = options
  const { service, outputs } = recorded
  const spool = await openSpool()
  const copy = createPredictionCopy()
  const hours = createHourRollups(db, { key: { model, version, role }, recorded, baseline })
  const run = randomBytes(6).toString('hex')
  const days = new Set<number>()
  const entities = new Map<string, Uint8Array>()
  const frontier = frontierOf(parseSnapshot(snapshot))
  const origins = service.uses.map(() => ({ from: 'history' as const, frontier, eventTime: null }))

  return {
    async add({ id, at, asOf, entity, values, statuses, prediction }) {
      const requestId = id ?? `backfill-${run}-${copy.rows}`
      const read = { entities: [entity], asOf, degraded: false, skewed: false, rows: [{ values, statuses }], origins: [origins] }
      const asked = { requestId, predictionBase: requestId, model, version, service, outputs, rows: [0], apiKey: null, startedMs: 0 }
      const as = { role, experiment: null, variant: null } as const
      const kept = { ...asked, ...as, read, predictions: [prediction as Value[]], at, latencyMicros: 0, ended: { snapshot } }
      for (const row of encodePredictions(kept, snapshot)) {
        copy.add(id === null ? row : { ...row, predictionId: id })
        for (const named of row.entities) entities.set(Buffer.from(named).toString('latin1'), named)
      }
      days.add(dayOf(at))
      hours.add(at, { entity, values, statuses, prediction })
      for (const part of copy.takeFull()) await spool.write(part)
    },
    async finish(signal) {
      const window = hours.window()
      if (window === null) return null
      for (const part of copy.finish()) await spool.write(part)
      await makePartitions(db, days)
      await db.query(
        `DELETE FROM lockstep.prediction_log WHERE model = $1 AND version = $2 AND role = '${role}'
         AND at >= to_timestamp($3::float8 / 1000000) AND at < to_timestamp($4::float8 / 1000000)`,
        [model, version, window.from, window.to],
      )
      await db.copyIn(copyPredictions, spool.read())
      await forgetErased(db, (now - stepMicros.hour) / 1000, entities.values())
      signal?.throwIfAborted()
      await hours.write(rollupDays, now, signal)
      return window
    },
    close: () => spool.close(),
  }
}
