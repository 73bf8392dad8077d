import { encodeKey } from '../../kernel/values/entity-key.ts'
import { dayMicros } from '../../kernel/values/time.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServedEntity, ServicePlan } from '../../kernel/service-plan.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { BackfilledWindow, BackfillWriter } from '../../monitoring/backfill/backfill-writer.ts'
import { createBackfillWriter } from '../../monitoring/backfill/backfill-writer.ts'
import { baselineOf } from '../../monitoring/baselines/baseline.ts'
import { storeVersionFigures } from '../../monitoring/figures/figures-job.ts'
import { awaitWritersMs } from '../../offline/rows/stream-bounds.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { Actor } from '../../runtime/audit.ts'
import { unknownActor } from '../../runtime/audit.ts'
import type { Config } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { parseSnapshot } from '../../runtime/postgres/snapshot-bounds.ts'
import { waitForWriters } from '../../runtime/postgres/wait-for-writers.ts'
import type { PredictSpineOptions, PredictSpineSummary, PredictedBatch } from './predict-spine.ts'
import { predictSpine } from './predict-spine.ts'

export interface BackfillPredictionsOptions extends Omit<PredictSpineOptions, 'bound' | 'statuses' | 'arrivedBefore'> {
  /** The spine's column with the id of each prediction; absent: they get new ids. */
  readonly id?: string
  /** How long after its moment a row is logged, microseconds: old rows can stand for recent ones. Default: 0. */
  readonly shiftMicros?: number
  /** Epoch microseconds. */
  readonly now: number
  /** Who asked for it, for the audit log. */
  readonly by?: Actor
}

export interface BackfillSummary extends PredictSpineSummary {
  /** Predictions that were logged. */
  readonly logged: number
  /** Rows without a key or a required feature: a server would refuse them. */
  readonly refused: number
  /** Rows that are older than the prediction log keeps, or not past yet. */
  readonly outside: number
  /** The hours that have the predictions; null: none was logged. */
  readonly window: BackfilledWindow
  /** Reports of quality and drift that were stored. */
  readonly figures: number
}

/**
 * Predicts past rows as of their own moments, and logs them as if a server had answered them then: in the prediction
 * log, in the rollups, and in the figures of each day. What an earlier backfill of the version wrote in these hours is
 * replaced.
 *
 * @throws LockstepError what `predictSpine` throws; `SPINE_INVALID` where the spine lacks the column `id`
 */
export async function backfillPredictions(
  db: Database,
  catalog: Catalog,
  { logRetentionDays, rollupDays }: Pick<Config, 'logRetentionDays' | 'rollupDays'>,
  { id, shiftMicros = 0, now, by = unknownActor, ...options }: BackfillPredictionsOptions,
): Promise<BackfillSummary> {
  const picked = pickVersion(catalog.model(options.model), options.version)
  const baseline = await baselineOf(db, options.model, picked.version)
  const oldest = Math.floor(now / dayMicros - logRetentionDays) * dayMicros
  await waitForWriters(db, awaitWritersMs, options.signal)
  const [taken] = await db.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
  const snapshot = taken?.snapshot ?? ''
  let writer: BackfillWriter | null = null
  let [logged, lacking, outside] = [0, 0, 0]
  try {
    const joining = { ...options, statuses: true, arrivedBefore: parseSnapshot(snapshot).xmin }
    const summary = await predictSpine(db, catalog, joining, async (batch) => {
      const { version, service, outputs, joined, predictions } = batch
      const recorded = { service, outputs }
      const named = { model: version.model, version: version.version, recorded, baseline, snapshot, rollupDays, now, by }
      const out = (writer ??= await createBackfillWriter(db, named))
      const entityAt = entityReader(service, batch)
      const ids = id === undefined ? null : columnOf(batch, id)
      for (let row = 0; row < batch.length; row++) {
        if (joined.missing[row]?.length !== 0) continue
        const entity = entityAt(row)
        const asOf = joined.times[row] as number
        const at = asOf + shiftMicros
        if (entity === null) lacking++
        else if (at < oldest || at > now) outside++
        else {
          const values = joined.values.map((column) => column[row] ?? null)
          const statuses = joined.statuses.map((column) => column[row] as (typeof column)[number])
          const prediction = predictions.map((column) => column[row] ?? null)
          const given = ids?.[row] ?? null
          await out.add({ id: given === null ? null : idText(given), at, asOf, entity, values, statuses, prediction })
          logged++
        }
      }
    })
    const window = (await (writer as BackfillWriter | null)?.finish(options.signal)) ?? null
    const { model, version } = summary.version
    let figures = 0
    for (const asOf of daysOf(window, now)) {
      options.signal?.throwIfAborted()
      figures += await storeVersionFigures(db, catalog, { model, version, asOf }, options.signal)
    }
    return { ...summary, logged, refused: summary.refused + lacking, outside, window, figures }
  } finally {
    await (writer as BackfillWriter | null)?.close()
  }
}

/** @throws LockstepError `SPINE_INVALID` */
function idText(value: Value): string {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  throw new LockstepError(
    'SPINE_INVALID',
    'The ids of predictions must be texts that are not empty, or whole numbers. Name another column, or cast it.',
  )
}

/** The ends of the days of a window, and its own. */
function daysOf(window: BackfilledWindow, now: number): number[] {
  if (window === null) return []
  const to = Math.min(window.to, now)
  const ends: number[] = []
  for (let day = (Math.floor(window.from / dayMicros) + 1) * dayMicros; day < to; day += dayMicros) ends.push(day)
  return [...ends, to]
}

/** Reads the entity of a row; null where the row lacks a key. */
function entityReader({ uses, request }: ServicePlan, batch: PredictedBatch): (row: number) => ServedEntity | null {
  const keys = uses.map(({ plan, key }) => ({ parts: plan.key, columns: key.map((name) => columnOf(batch, name)) }))
  const asked = request.map(({ name }) => columnOf(batch, name))
  return (row) => {
    if (keys.some(({ columns }) => columns.some((column) => (column[row] ?? null) === null))) return null
    return {
      keys: keys.map(({ parts, columns }) =>
        encodeKey(
          parts,
          columns.map((column) => column[row]),
        ),
      ),
      // a spine without a request value was refused
      request: asked.map((column) => column[row] as Value),
    }
  }
}

function columnOf({ columns, spine }: PredictedBatch, name: string): readonly (Value | null)[] {
  const found = spine[columns.findIndex((column) => column.name === name)]
  if (found !== undefined) return found
  throw new LockstepError(
    'SPINE_INVALID',
    `The spine has no column "${name}". Its columns are ${columns.map((each) => each.name).join(', ')}.`,
    {
      details: { column: name },
    },
  )
}
