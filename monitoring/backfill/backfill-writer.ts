import type { Window } from '../window.ts'
import { dayOf, predictionPartitions } from '../day-partitions.ts'
import { randomBytes } from 'node:crypto'
import { cutText } from '../../kernel/values/cut-text.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { frontierOf } from '../../kernel/states/frontier.ts'
import { asRecord } from '../../kernel/is-record.ts'
import type { ServedEntity } from '../../kernel/service-plan.ts'
import type { Status } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { openSpool } from '../../offline/spool.ts'
import type { Actor, AuditAction } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { parseSnapshot } from '../../runtime/postgres/snapshot-bounds.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { RollupDays } from '../../runtime/settings/variables.ts'
import { copyPredictions, createPredictionCopy } from '../prediction-log/copy-predictions.ts'
import { encodePredictions } from '../prediction-log/encode-predictions.ts'
import { forgetErased } from '../prediction-log/forget-erased.ts'
import { lockMerging, mergeRollups } from '../rollups/merge-rollups.ts'
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
  /**
   * Writes everything, in place of what an earlier backfill of the version wrote in these hours.
   *
   * @throws LockstepError `SPINE_INVALID` where several rows have one id; then nothing has changed
   */
  finish(signal?: AbortSignal): Promise<BackfilledWindow>
  close(): Promise<void>
}

/** Epoch microseconds, [from, to), in complete hours or days; null: there were no rows. */
export type BackfilledWindow = Window | null

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
  readonly by: Actor
}

const role = 'backfill'

export async function createBackfillWriter(db: Database, options: BackfillOptions): Promise<BackfillWriter> {
  const { model, version, recorded, baseline, snapshot, rollupDays, now, by } = options
  const { service, outputs } = recorded
  const spool = await openSpool()
  const copy = createPredictionCopy()
  const hours = createHourRollups({ key: { model, version, role }, recorded, baseline, rollupDays, now })
  const run = randomBytes(6).toString('hex')
  const days = new Set<number>()
  let areNamed = false
  const frontier = frontierOf(parseSnapshot(snapshot))
  const origins = service.uses.map(() => ({ from: 'history' as const, frontier, eventTime: null }))

  return {
    async add({ id, at, asOf, entity, values, statuses, prediction }) {
      if (id !== null) areNamed = true
      const requestId = id ?? `backfill-${run}-${copy.rows}`
      const read = { entities: [entity], asOf, degraded: false, skewed: false, rows: [{ values, statuses }], origins: [origins] }
      const asked = { requestId, predictionBase: requestId, model, version, service, outputs, rows: [0], apiKey: null, startedMs: 0 }
      const as = { role, experiment: null, variant: null } as const
      const kept = { ...asked, ...as, read, predictions: [prediction as Value[]], at, latencyMicros: 0, ended: { snapshot } }
      for (const row of encodePredictions(kept, snapshot)) copy.add(id === null ? row : { ...row, predictionId: id })
      days.add(dayOf(at))
      hours.add(at, { entity, values, statuses, prediction })
      for (const part of copy.takeFull()) await spool.write(part)
    },
    async finish(signal) {
      const window = hours.window()
      if (window === null) return null
      for (const part of copy.finish()) await spool.write(part)
      await predictionPartitions.create(db, days)
      const written = `model = ${sqlText(model)} AND version = ${version} AND role = '${role}'
        AND at >= to_timestamp(${window.from}::float8 / 1000000) AND at < to_timestamp(${window.to}::float8 / 1000000)`
      function* replacing() {
        yield `DELETE FROM lockstep.prediction_log WHERE ${written}`
        yield* hours.statements(window as NonNullable<BackfilledWindow>)
      }
      const release = await lockMerging(db)
      try {
        signal?.throwIfAborted()
        // in one transaction: a backfill that is killed leaves all that was there before
        const after = (rows: number) =>
          auditStatement(by, `${model}@${version}`, { ...window, rows }, areNamed ? repeatedId(written) : noId)
        await db.copyIn(copyPredictions, spool.read(), { before: replacing(), after, onRows: refuseRepeated })
        await forgetErased(db, (now - stepMicros.hour) / 1000, loggedEntities(db, written))
        await mergeRollups(db, rollupDays, now, signal)
      } finally {
        await release()
      }
      return window
    },
    close: () => spool.close(),
  }
}

/** How many entities are read at once. */
const entitiesAtOnce = 10_000

/** The entities of log rows, each once. @param where of the rows */
async function* loggedEntities(db: Pick<Database, 'query'>, where: string): AsyncGenerator<Uint8Array> {
  for (let last: Uint8Array | undefined = Buffer.alloc(0); last !== undefined;) {
    const found: { readonly named: Uint8Array }[] = await db.query(
      `SELECT DISTINCT named FROM lockstep.prediction_log, unnest(entities) AS named
       WHERE ${where} AND named > decode($1, 'hex') ORDER BY named LIMIT ${entitiesAtOnce}`,
      [Buffer.from(last).toString('hex')],
    )
    for (const { named } of found) yield named
    last = found.length < entitiesAtOnce ? undefined : found.at(-1)?.named
  }
}

const noId = 'SELECT NULL AS id WHERE false'

/** An id that several of the log rows have. @param where of the rows */
function repeatedId(where: string): string {
  return `SELECT prediction_id AS id FROM lockstep.prediction_log WHERE ${where} GROUP BY prediction_id HAVING count(*) > 1 LIMIT 1`
}

/** @throws LockstepError `SPINE_INVALID`, in the transaction that has written the rows */
function refuseRepeated([repeated]: readonly unknown[]): void {
  const { id } = asRecord(repeated)
  if (typeof id !== 'string') return
  throw new LockstepError(
    'SPINE_INVALID',
    `Several rows of the spine have the id "${cutText(id, 100)}", so an outcome would count for each of them. Nothing was logged. Give each row an id of its own, or leave out "--id".`,
    { details: { id } },
  )
}

/** @param result what the statement returns */
function auditStatement(
  { actor, reason }: Actor,
  subject: string,
  written: { from: number; to: number; rows: number },
  result: string,
): string {
  const { from, to, rows } = written
  const after = JSON.stringify({ from: formatTimestamp(from), to: formatTimestamp(to), rows })
  const action: AuditAction = 'predictions.backfill'
  return `WITH audited AS (INSERT INTO lockstep.audit_log (actor, actor_name, action, subject, after, reason)
    SELECT ${sqlText(actor)}, (SELECT name FROM lockstep.api_keys k WHERE k.id = ${sqlText(actor)}), '${action}', ${sqlText(subject)},
      ${sqlText(after)}::json, ${reason === undefined ? 'NULL' : sqlText(reason)})
    ${result}`
}
