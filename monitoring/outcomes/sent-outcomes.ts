import { LockstepError } from '../../kernel/errors.ts'
import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** An outcome as a client sends it. */
export interface SentOutcome {
  readonly predictionId?: string | null | undefined
  /** The key of the source, by its parts. */
  readonly entity?: Readonly<Record<string, unknown>> | null | undefined
  readonly value: unknown
  /** When it happened. Default: now. */
  readonly at?: string | number | null | undefined
  /** An outcome that comes again under its id is the same one. */
  readonly id?: string | null | undefined
}

/**
 * The outcome of that name, or the only one of a model.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, or `INVALID_REQUEST` where a model has none or several
 */
export function outcomeOf(
  catalog: Catalog,
  { outcome, model }: { readonly outcome?: string | undefined; readonly model?: string | undefined },
): OutcomePlan {
  if (outcome !== undefined && model !== undefined)
    throw new LockstepError('INVALID_REQUEST', 'The request names an outcome and a model; send one of "outcome" and "model".')
  if (outcome !== undefined) return catalog.outcome(outcome)
  if (model === undefined)
    throw new LockstepError('INVALID_REQUEST', 'The request names no outcome; send "outcome", or "model" if it has only one.')
  const { name } = catalog.model(model)
  const plans = [...catalog.outcomes.values()].filter(({ spec }) => spec.model === name)
  const [only] = plans
  if (only !== undefined && plans.length === 1) return only
  const names = plans.map(({ spec }) => `"${spec.name}"`).join(', ')
  const why = names === '' ? 'has no outcome; declare one and apply it' : `has several outcomes; send one of them as "outcome": ${names}`
  throw new LockstepError('INVALID_REQUEST', `The model "${name}" ${why}.`, { details: { model: name } })
}

/**
 * Sent outcomes as events of the outcome's source, by index. The reader of events checks their values.
 *
 * @param now epoch microseconds, when they were received
 * @throws LockstepError `NOT_PUSHABLE` if a function computes the values; `INVALID_EVENT` naming the index
 */
export function outcomeEvents({ spec }: OutcomePlan, sent: readonly SentOutcome[], now: number): Record<string, unknown>[] {
  const { name, source, match, column } = spec
  if (column === null) {
    throw new LockstepError(
      'NOT_PUSHABLE',
      `The outcome "${name}" cannot be sent: a function computes its value from rows of the source "${source.name}". Push those to POST /v1/sources/${source.name}/events.`,
      { details: { outcome: name, source: source.name } },
    )
  }
  const parts = new Map(source.key.map((key) => [key.part, key.column]))
  return sent.map(({ predictionId, entity: sentEntity, value, at, id }, index) => {
    const entity = sentEntity ?? {}
    const event: Record<string, unknown> = Object.fromEntries(source.columns.map((each) => [each.name, null]))
    for (const keyColumn of parts.values()) event[keyColumn] = null
    for (const [part, given] of Object.entries(entity)) {
      const keyColumn = parts.get(part)
      if (keyColumn === undefined)
        throw refused(index, part, `has "${part}" in its entity, which is not a part of the key: ${[...parts.keys()].join(', ')}`)
      event[keyColumn] = given
    }
    if (match.kind === 'prediction') {
      if (predictionId === undefined || predictionId === null)
        throw refused(index, 'predictionId', 'has no "predictionId"; send the id that the prediction was answered with')
      event[match.column] = predictionId
    } else {
      if (predictionId !== undefined && predictionId !== null)
        throw refused(index, 'predictionId', 'has a "predictionId", but this outcome is matched by entity and time; remove it')
      for (const { name: part } of match.key)
        if ((entity[part] ?? null) === null) throw refused(index, part, `has no "${part}" in its entity; send every part of the key`)
    }
    event[column] = value
    event[source.eventTime] = at ?? formatTimestamp(now)
    if (source.known !== null && source.known !== source.eventTime) delete event[source.known]
    if (id !== undefined && id !== null) event['_event_id'] = id
    return event
  })
}

/** How sent outcomes fit the predictions that are logged. */
export interface FoundPredictions {
  /** How many happened after `within`. */
  readonly late: number
  /** How many name a prediction that is not in the log. */
  readonly unknown: number
}

/** Looks the predictions up. A prediction is logged up to some seconds after it was answered. */
export async function findPredictions(
  db: Pick<Database, 'query'>,
  { spec }: OutcomePlan,
  ids: readonly string[],
  times: readonly number[],
): Promise<FoundPredictions> {
  const rows = await db.query<{ id: string; moment: number }>(
    `SELECT prediction_id AS id, (extract(epoch FROM min(as_of)) * 1000000)::float8 AS moment
     FROM lockstep.prediction_log WHERE prediction_id = ANY($1) AND model = $2 GROUP BY 1`,
    [[...new Set(ids)], spec.model],
  )
  const moments = new Map(rows.map(({ id, moment }) => [id, moment]))
  let [late, unknown] = [0, 0]
  for (const [i, id] of ids.entries()) {
    const moment = moments.get(id)
    if (moment === undefined) unknown++
    else if ((times[i] ?? 0) > moment + spec.withinMicros) late++
  }
  return { late, unknown }
}

function refused(index: number, field: string, what: string): LockstepError {
  return new LockstepError('INVALID_EVENT', `Outcome ${index} ${what}.`, {
    details: { event: index, column: field, reason: 'missing_column' },
  })
}
