import type { OutcomeMatch, OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { Column, KeyType } from '../../kernel/values/value-type.ts'
import type { SourceTable } from '../../offline/rows/source-table.ts'
import { castTo, sqlTypeName } from '../../offline/rows/sql-type.ts'
import { sqlIdentifier, sqlInterval, sqlMoment, sqlText } from '../../runtime/postgres/sql.ts'
import { answeredId, answeredIdSql } from '../prediction-log/prediction-id.ts'
import type { OutcomeQuery } from './outcome-row.ts'

/** The logged predictions as `p`, each with its row of `pickedSql` as `o`, if there is one. */
export function joinedSql(table: SourceTable, query: OutcomeQuery, immature: boolean): string {
  const picked = pickedSql(table, query, immature)
  return `lockstep.prediction_log p LEFT JOIN (${picked}) o ON o.id = p.prediction_id WHERE ${predictionsWhere(query, immature)}`
}

/**
 * For each logged prediction (`id`) the greatest row of its outcome's source, if there is one: `event_time`, `late` (it
 * happened after `within`), `known` (from when on it counts, if the query asks), and `c0`, `c1` … for the columns of
 * the plan.
 *
 * Only rows that were known at `asOf` count. The greatest row is the last in the total order of event time, known time
 * and identity, but for `take: 'first'` the first event time comes before.
 */
export function pickedSql(table: SourceTable, query: OutcomeQuery, immature: boolean): string {
  const { match } = query.outcome.spec
  const where = predictionsWhere(query, immature)
  const parts = partsOf(table, query)
  return match.kind === 'prediction'
    ? byPrediction(parts, match.column, where, query.prediction)
    : byEntity(parts, match, where, query.prediction !== undefined)
}

interface Parts {
  readonly spec: OutcomeSpec
  readonly table: SourceTable
  /** SQL over a row `s` of the source: its columns as decoders read them, and whether it counts. */
  readonly typed: (column: Column) => string
  readonly event: string
  readonly visible: string
  readonly hasKnown: boolean
  readonly values: readonly string[]
  readonly conditions: readonly string[]
  /** The order of rows with the same times. */
  readonly tie: readonly string[]
}

function partsOf(table: SourceTable, { outcome: { spec, columns }, asOf, known: hasKnown = false }: OutcomeQuery): Parts {
  const { source } = spec
  const typed = ({ name, type }: Column): string => castTo(type, `s.${sqlIdentifier(name)}`, table.types.get(name))
  const event = typed({ name: source.eventTime, type: { kind: 'timestamp' } })
  const visible = source.known === null ? event : `greatest(${event}, s.${sqlIdentifier(source.known)})`
  return {
    spec,
    table,
    typed,
    event,
    visible,
    hasKnown,
    values: columns.map(typed),
    conditions: [`${event} IS NOT NULL`, `${visible} <= ${sqlMoment(asOf)}`, ...(table.hasOnlineOnly ? ['NOT s."_online_only"'] : [])],
    tie: tieOrder(table, source.columns),
  }
}

/**
 * @param prediction set: only it is asked for. Then only its rows are read, by the index on the key, which has the
 *   collation "C"
 */
function byPrediction(
  { spec, table, typed, event, visible, hasKnown, values, conditions, tie }: Parts,
  column: string,
  where: string,
  prediction: string | undefined,
): string {
  const id = typed({ name: column, type: { kind: 'string' } })
  const ofOne = prediction === undefined ? [] : [`${id} COLLATE "C" = ${sqlText(answeredId(prediction))}`]
  // what came of a row came of the shadow's row, too; a rewritten id of each answer would cost time
  const answered = `CASE WHEN p.role = 'shadow' THEN ${answeredIdSql('p.prediction_id')} ELSE p.prediction_id END`
  const inTime = `${event} <= p.as_of + ${sqlInterval(spec.withinMicros)}`
  const found = [
    `${event} AS event_time`,
    `NOT (${inTime}) AS late`,
    ...(hasKnown ? [`${visible} AS known`] : []),
    ...values.map((value, i) => `${value} AS c${i}`),
  ]
  const order = ['p.prediction_id', `(${inTime}) DESC`, ...[event, visible, ...tie].map(descending)]
  return `SELECT DISTINCT ON (p.prediction_id) p.prediction_id AS id, ${found.join(', ')}
    FROM lockstep.prediction_log p JOIN ${table.relation} s ON ${id} = ${answered}
    WHERE ${[where, ...ofOne, ...conditions].join(' AND ')} ORDER BY ${order.join(', ')}`
}

/**
 * Rows and predictions of a key pass in the order of time: for the last row forwards, each prediction at the end of its
 * time; for the first row backwards, each at its beginning. A prediction gets the row that passed just before it
 * (`island`), so both are sorted once, however many rows lie within the time.
 *
 * @param isOne whether there is one prediction: then only rows of its key are read
 */
function byEntity(parts: Parts, { take, key }: Extract<OutcomeMatch, { readonly kind: 'entity' }>, where: string, isOne: boolean): string {
  const { spec, table, typed, event, visible, hasKnown, values, tie } = parts
  const within = sqlInterval(spec.withinMicros)
  const isLast = take === 'last'
  const collated = (type: KeyType): string => (type.kind === 'string' ? ' COLLATE "C"' : '')
  const names = key.map((_, i) => `k${i}`)
  const columnOf = (part: string): string => spec.source.key.find((each) => each.part === part)?.column ?? part
  const rowKeys = key.map(({ name, type }) => `${typed({ name: columnOf(name), type })}${collated(type)}`)
  const bounds = `SELECT min(p.as_of) AS low, max(p.as_of) + ${within} AS high FROM lockstep.prediction_log p WHERE ${where}`
  const inBounds = [`${event} > (SELECT low FROM bounds)`, `${event} <= (SELECT high FROM bounds)`]
  const ofOne = key.map(
    (part) =>
      `${typed({ name: columnOf(part.name), type: part.type })}${collated(part.type)} = (SELECT ${keyOf(part)} FROM lockstep.prediction_log p WHERE ${where} LIMIT 1)`,
  )
  const ofKeys = isOne ? ofOne : rowKeys.map((row) => `${row} IS NOT NULL`)
  const conditions = [...parts.conditions, ...ofKeys, ...inBounds]
  const rows = [
    ...rowKeys.map((row, i) => `${row} AS k${i}`),
    `${event} AS t, 1 AS side, ${event} AS event_time, ${visible} AS visible`,
    ...tie.map((each, i) => `${each} AS r${i}`),
    ...values.map((value, i) => `${value} AS v${i}`),
    'NULL::text AS id, NULL::timestamptz AS as_of',
  ]
  const predictions = [
    ...key.map((part) => `${keyOf(part)}${collated(part.type)}`),
    `${isLast ? `p.as_of + ${within}` : 'p.as_of'}, 0, NULL, NULL`,
    ...[...tie, ...values].map(() => 'NULL'),
    'p.prediction_id, p.as_of',
  ]
  const order = [isLast ? 't, side DESC' : 't DESC, side', 'visible', ...tie.map((_, i) => `r${i} NULLS FIRST`)]
  const passing = `SELECT ${rows.join(', ')} FROM ${table.relation} s WHERE ${conditions.join(' AND ')}
    UNION ALL SELECT ${predictions.join(', ')} FROM lockstep.prediction_log p WHERE ${where}`
  const islands = `SELECT u.*, count(event_time) OVER (PARTITION BY ${names.join(', ')} ORDER BY ${order.join(', ')} ROWS UNBOUNDED PRECEDING) AS island
    FROM (${passing}) u`
  const found = [
    'first_value(event_time) OVER w AS event_time',
    ...(hasKnown ? ['first_value(visible) OVER w AS known'] : []),
    ...values.map((_, i) => `first_value(v${i}) OVER w AS c${i}`),
  ]
  const matched = `SELECT id, as_of, ${found.join(', ')} FROM (${islands}) i WINDOW w AS (PARTITION BY ${names.join(', ')}, island ORDER BY side DESC)`
  const taken = ['event_time', 'false AS late', ...(hasKnown ? ['known'] : []), ...values.map((_, i) => `c${i}`)]
  return `WITH bounds AS MATERIALIZED (${bounds}) SELECT DISTINCT ON (id) id, ${taken.join(', ')} FROM (${matched}) m
    WHERE id IS NOT NULL AND event_time > as_of AND event_time <= as_of + ${within} ORDER BY id`
}

/** The key's part in the request of a prediction `p`, which is a key of the service, or request data. */
function keyOf({ name, type }: Column<KeyType>): string {
  const json = sqlText(name)
  return `coalesce(p.keys->>${json}, p.request->>${json})::${sqlTypeName(type)}`
}

function predictionsWhere({ outcome, versions, from, to, asOf, prediction }: OutcomeQuery, immature: boolean): string {
  return [
    `p.at >= ${sqlMoment(from)}`,
    `p.at < ${sqlMoment(to)}`,
    `p.model = ${sqlText(outcome.spec.model)}`,
    prediction === undefined ? 'p.prediction_id IS NOT NULL' : `p.prediction_id = ${sqlText(prediction)}`,
    ...(versions === undefined ? [] : [`p.version IN (${versions.map(Number).join(', ') || 'NULL'})`]),
    ...(immature ? [] : [`p.as_of <= ${sqlMoment(matureBefore(outcome.spec.withinMicros, asOf))}`]),
  ].join(' AND ')
}

/** Predictions for this moment or an earlier one are mature. */
export function matureBefore(withinMicros: number, asOf: number): number {
  return asOf - withinMicros
}

/** As the rule of time breaks ties: by `_row`, else by the declared columns in the order of their names. */
function tieOrder(table: SourceTable, columns: readonly Column[]): string[] {
  if (table.hasRow) return ['s."_row"']
  const named = columns.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return named.map(({ name, type }) => `s.${sqlIdentifier(name)}${type.kind === 'string' ? ' COLLATE "C"' : ''}`)
}

function descending(expression: string): string {
  return `${expression} DESC NULLS LAST`
}
