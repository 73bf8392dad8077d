import type { Column } from '../../kernel/values/value-type.ts'
import { sqlTypeName } from '../../offline/rows/sql-type.ts'
import type { AllocationPeriod } from '../../registry/experiments/allocation.ts'
import { sqlIdentifier, sqlInterval, sqlMoment, sqlText } from '../../runtime/postgres/sql.ts'
import { predictionColumn } from './metric-views.ts'

/** Which exposures are read. Times are epoch microseconds. */
export interface ExposedUnits {
  readonly experimentId: number
  readonly experiment: string
  readonly unit: string
  /**
   * Exposures until then; a unit counts in a window once the window, and the time of its predictions, have passed then.
   */
  readonly asOf: number
  /** The shares of an experiment whose shares follow its results. */
  readonly periods?: readonly AllocationPeriod[]
  /** Units of the prediction log in place of exposures, to plan an experiment. */
  readonly instead?: UnitsOfLog
}

/** The units of a model as if they had been exposed at their first logged prediction. */
export interface UnitsOfLog {
  readonly model: string
  readonly variant: string
  /** Predictions logged from then on, epoch microseconds. */
  readonly from: number
}

/**
 * What a row of the spine asks for, by index of the windows and of their `afterPrediction`:
 *
 *     window   time
 *     none     none   what was known at the exposure
 *     i        none   the figures at the end of the window
 *     i        k      what came of one prediction in the window, at this time after it
 */
export interface RowPlace {
  readonly window: number
  readonly time: number
}

/** Before all indexes, as the rows are ordered. */
export const none = -1

/** A time at which the figures of a unit are asked for. */
export interface AskedWindow {
  /** How long after the exposure. */
  readonly afterMicros: number
  /**
   * How long after each of its predictions what came of it is asked for, one row for each; empty: predictions have no
   * rows. The window has passed once the last time of a prediction at its end has, so all predictions have the same.
   */
  readonly afterPrediction: readonly number[]
}

/** How long after the exposure the figures of a window are final. */
export function matureAfter({ afterMicros, afterPrediction }: AskedWindow): number {
  return afterMicros + Math.max(0, ...afterPrediction)
}

/**
 * The spine of an experiment's metrics: for each unit, in order, one row at its exposure, one for each window that has
 * passed, asked at its end, and then those of its predictions. Units that were answered by two variants are left out.
 *
 * @param keys the columns that views are asked by
 */
export function unitsQuery(exposed: ExposedUnits, keys: readonly Column[], windows: readonly AskedWindow[]): string {
  const { experimentId, experiment, asOf, unit } = exposed
  const now = sqlMoment(asOf)
  const fields = keys.filter(({ name }) => name !== predictionColumn)
  const values = fields.map(({ name, type }) => {
    const field = `e.entity->>${sqlText(name)}`
    return `(${name === unit ? `coalesce(${field}, e.unit)` : field})::${sqlTypeName(type)} AS ${sqlIdentifier(name)}`
  })
  const hasPredictions = keys.length !== fields.length
  const row = ({ window, time }: RowPlace, at: string, when: string, predicted: Predicted | null = null): string =>
    `SELECT ${[
      'e.unit AS _unit',
      'e.variant AS _variant',
      'e.exposed_at AS _exposed_at',
      'e.propensity AS _propensity',
      `${window} AS _window`,
      `${time} AS _time`,
      `${at} AS _at`,
      ...values,
      ...(hasPredictions ? [`${predicted?.id ?? 'NULL::text'} AS ${sqlIdentifier(predictionColumn)}`] : []),
      `${predicted?.at ?? 'NULL::timestamptz'} AS _answered`,
    ].join(', ')} FROM e${predicted?.joined ?? ''} WHERE ${when}`
  const rows = [row({ window: none, time: none }, 'e.exposed_at', 'true')]
  for (const [i, window] of windows.entries()) {
    const end = `e.exposed_at + ${sqlInterval(window.afterMicros)}`
    const isOver = `e.exposed_at + ${sqlInterval(matureAfter(window))} <= ${now}`
    rows.push(row({ window: i, time: none }, end, isOver))
    if (window.afterPrediction.length === 0) continue
    const counts =
      exposed.instead === undefined
        ? `p.experiment = ${sqlText(experiment)} AND p.variant = e.variant`
        : `p.model = ${sqlText(exposed.instead.model)} AND p.at >= e.exposed_at AND ${isAnswer}`
    const logged = ` JOIN lockstep.prediction_log p ON ${counts} AND ${loggedUnit(unit)} = e.unit`
    // the first answer of a unit may be logged a moment before its exposure
    const inWindow = `p.prediction_id IS NOT NULL AND p.at >= (SELECT min(exposed_at) FROM e) - interval '1 minute' AND p.at <= ${end}`
    const predicted = { id: 'p.prediction_id', at: 'p.at', joined: logged }
    for (const [time, micros] of window.afterPrediction.entries())
      rows.push(row({ window: i, time }, `p.at + ${sqlInterval(micros)}`, `${inWindow} AND ${isOver}`, predicted))
  }
  const units =
    exposed.instead === undefined
      ? `SELECT x.* FROM lockstep.exposures x WHERE x.experiment_id = ${experimentId} AND x.exposed_at <= ${now} AND NOT EXISTS (
        SELECT FROM lockstep.exposures o WHERE o.experiment_id = x.experiment_id AND o.unit = x.unit AND o.variant <> x.variant AND o.exposed_at <= ${now})`
      : unitsOfLog(exposed.instead, unit, now)
  return `WITH e AS (${units})
    SELECT ${['_unit', '_variant', '_exposed_at', '_propensity', '_window', '_time', '_at', ...keys.map(({ name }) => sqlIdentifier(name))].join(', ')}
    FROM (${rows.join(' UNION ALL ')}) u ORDER BY _unit COLLATE "C", _time, _window, _answered`
}

/** SQL of a prediction's row. */
interface Predicted {
  readonly id: string
  readonly at: string
  readonly joined: string
}

/** The unit of a logged prediction `p`. */
export function loggedUnit(unit: string): string {
  return unit === 'request-id' ? 'p.request_id' : `coalesce(p.keys->>${sqlText(unit)}, p.request->>${sqlText(unit)})`
}

/** A prediction of a shadow is logged beside the one that was answered. */
const isAnswer = `p.role IS DISTINCT FROM 'shadow'`

function unitsOfLog({ model, variant, from }: UnitsOfLog, unit: string, now: string): string {
  const entity = '(p.keys::jsonb || p.request::jsonb)::json'
  return `SELECT DISTINCT ON (unit) ${loggedUnit(unit)} AS unit, ${sqlText(variant)} AS variant, p.at AS exposed_at, 1::float8 AS propensity, ${entity} AS entity
    FROM lockstep.prediction_log p WHERE p.model = ${sqlText(model)} AND p.at >= ${sqlMoment(from)} AND p.at <= ${now} AND ${loggedUnit(unit)} IS NOT NULL
      AND ${isAnswer} ORDER BY unit, p.at`
}
