import { formatTimestamp } from '../../kernel/time.ts'
import type { Column, KeyType } from '../../kernel/value-type.ts'
import type { SourceTable } from '../../offline/source-table.ts'
import { castTo, sqlTypeName } from '../../offline/sql-type.ts'
import { sqlIdentifier, sqlText } from '../../runtime/sql.ts'
import type { OutcomeQuery } from './outcome-row.ts'

/**
 * The logged predictions as `p`, each with the greatest row of its outcome's source as `o`: `o.event_time` (null:
 * there is none), `o.late` (it happened after `within`), and `o.c0`, `o.c1` … for the columns of the plan.
 *
 * Only rows that were known at `asOf` count. The greatest row is the last in the total order of event time, known time
 * and identity, but for `take: 'first'` the first event time comes before.
 */
export function joinedSql(table: SourceTable, query: OutcomeQuery, immature: boolean): string {
  const { spec, columns } = query.outcome
  const { match, source, withinMicros } = spec
  const column = (name: string): string => `s.${sqlIdentifier(name)}`
  const event = castTo({ kind: 'timestamp' }, column(source.eventTime), table.types.get(source.eventTime))
  const visible = source.known === null ? event : `greatest(${event}, ${column(source.known)})`
  const values = columns.map(({ name, type }, i) => `${castTo(type, column(name), table.types.get(name))} AS c${i}`)
  const inTime = `${event} <= p.as_of + ${interval(withinMicros)}`
  const conditions = [
    `${event} IS NOT NULL`,
    `${visible} <= ${moment(query.asOf)}`,
    ...(table.hasOnlineOnly ? ['NOT s."_online_only"'] : []),
  ]
  const greatest = [...(source.known === null ? [] : [`${visible} DESC`]), ...tieOrder(table, source.columns)]
  const predictions = `lockstep.prediction_log p WHERE ${predictionsWhere(query, immature)}`
  if (match.kind === 'prediction') {
    const id = castTo({ kind: 'string' }, column(match.column), table.types.get(match.column))
    const order = ['p.prediction_id', `(${inTime}) DESC`, `${event} DESC`, ...greatest]
    const picked = `SELECT DISTINCT ON (p.prediction_id) p.prediction_id AS id, ${[`${event} AS event_time`, `NOT (${inTime}) AS late`, ...values].join(', ')}
      FROM lockstep.prediction_log p JOIN ${table.relation} s ON ${id} = p.prediction_id
      WHERE ${[predictionsWhere(query, immature), ...conditions].join(' AND ')} ORDER BY ${order.join(', ')}`
    return predictions.replace(' p WHERE', ` p LEFT JOIN (${picked}) o ON o.id = p.prediction_id WHERE`)
  }
  const keys = match.key.map((part) => {
    const named = source.key.find((each) => each.part === part.name)?.column ?? part.name
    const own = castTo(part.type, column(named), table.types.get(named))
    return `${own} = ${keyOf(part)}${part.type.kind === 'string' ? ' COLLATE "C"' : ''}`
  })
  const order = [`${event} ${match.take === 'first' ? 'ASC' : 'DESC'}`, ...greatest]
  const picked = `SELECT ${[`${event} AS event_time`, 'false AS late', ...values].join(', ')} FROM ${table.relation} s
    WHERE ${[...keys, `${event} > p.as_of`, inTime, ...conditions].join(' AND ')} ORDER BY ${order.join(', ')} LIMIT 1`
  return predictions.replace(' p WHERE', ` p LEFT JOIN LATERAL (${picked}) o ON true WHERE`)
}

/** The key's part in the request of a prediction `p`, which is a key of the service, or request data. */
function keyOf({ name, type }: Column<KeyType>): string {
  const json = sqlText(name)
  return `coalesce(p.keys->>${json}, p.request->>${json})::${sqlTypeName(type)}`
}

function predictionsWhere({ outcome, versions, from, to, asOf }: OutcomeQuery, immature: boolean): string {
  return [
    `p.at >= ${moment(from)}`,
    `p.at < ${moment(to)}`,
    `p.model = ${sqlText(outcome.spec.model)}`,
    'p.prediction_id IS NOT NULL',
    ...(versions === undefined ? [] : [`p.version IN (${versions.map(Number).join(', ') || 'NULL'})`]),
    ...(immature ? [] : [`p.as_of <= ${moment(matureBefore(outcome.spec.withinMicros, asOf))}`]),
  ].join(' AND ')
}

/** Predictions for this moment or an earlier one are mature. */
export function matureBefore(withinMicros: number, asOf: number): number {
  return asOf - withinMicros
}

/** As the rule of time breaks ties: by `_row`, else by the declared columns in the order of their names. */
function tieOrder(table: SourceTable, columns: readonly Column[]): string[] {
  if (table.hasRow) return ['s."_row" DESC']
  const named = columns.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return named.map(({ name, type }) => `s.${sqlIdentifier(name)}${type.kind === 'string' ? ' COLLATE "C"' : ''} DESC NULLS LAST`)
}

function moment(micros: number): string {
  return `timestamptz '${formatTimestamp(micros)}'`
}

function interval(micros: number): string {
  return `interval '${micros} microseconds'`
}
