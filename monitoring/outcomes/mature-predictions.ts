import type { OutcomePlan } from '../../kernel/compile-outcome.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import { microsAt, valueReader } from '../../offline/rows/tuple-values.ts'
import type { Snapshot, TupleBatch } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { OutcomeQuery, OutcomeRow } from './outcome-row.ts'
import { joinedSql, matureBefore } from './outcome-sql.ts'

export interface MatureQuery extends OutcomeQuery {
  /** Also the predictions that are not mature, which have no outcome. Default: false. */
  readonly immature?: boolean
  /** Keys, request data and features of the prediction, by name. Default: none. */
  readonly columns?: readonly string[]
  /** Only for a query of one prediction (`StreamOptions.timeoutMs`). */
  readonly timeoutMs?: number
}

/**
 * The logged predictions with their outcomes, in batches and in any order. It reads from the snapshot in bounded
 * memory. A prediction is mature once `within` has passed since it, also where its outcome came early: outcomes that
 * come fast would else be counted first.
 *
 * @throws LockstepError `SOURCE_MISSING`, `TRANSFORM_FAILED`
 */
export async function* maturePredictions(snapshot: Snapshot, query: MatureQuery): AsyncGenerator<OutcomeRow[]> {
  const { outcome, immature = false, columns = [], timeoutMs } = query
  const table = await readSourceTable(snapshot, outcome.spec.source)
  const named = columns.map((name) => {
    const json = sqlText(name)
    return `coalesce(p.keys->${json}, p.request->${json}, p.features->${json})::text`
  })
  const fields = [
    'p.prediction_id, p.at, p.as_of, p.version, p.role, p.keys::text, p.outputs::text',
    ...named,
    'o.event_time',
    'o.late',
    ...outcome.columns.map((_, i) => `o.c${i}`),
  ]
  const decode = createDecoder(query, columns.length)
  const how = query.prediction === undefined ? { fullScan: true, largeJoin: true } : timeoutMs === undefined ? {} : { timeoutMs }
  for await (const batch of snapshot.tuples(`SELECT ${fields.join(', ')} FROM ${joinedSql(table, query, immature)}`, how))
    yield decode(batch)
}

function createDecoder({ outcome, asOf, prediction }: OutcomeQuery, columns: number): (batch: TupleBatch) => OutcomeRow[] {
  const { spec } = outcome
  const bound = matureBefore(spec.withinMicros, asOf)
  const readers = outcome.columns.map(({ name, type }) => valueReader(type, `The column "${name}" of source "${spec.source.name}"`))
  const { output: judged } = spec
  const outputName = JSON.stringify(judged)
  const columnJson = rememberedJson()
  return ({ bytes, starts }) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let at = 0
    let length = 0
    /** Moves to the next field. Returns whether it has a value. */
    const next = (): boolean => {
      at += Math.max(length, 0)
      length = view.getInt32(at)
      at += 4
      return length >= 0
    }
    const text = (): string => bytes.toString('utf8', at, at + length)
    return starts.map((start): OutcomeRow => {
      at = start + 2
      length = 0
      next()
      const predictionId = text()
      next()
      const answeredAt = microsAt(view, at)
      next()
      const ofMoment = microsAt(view, at)
      next()
      const version = view.getInt32(at)
      const role = next() ? text() : null
      next()
      const entity = text()
      next()
      const output = judged === null ? null : outputOf(text(), judged, outputName)
      const values: JsonValue[] = []
      for (let c = 0; c < columns; c++) values.push(next() ? columnJson(text()) : null)
      const outcomeAt = next() ? microsAt(view, at) : null
      const late = next() && bytes[at] === 1
      const found: (Value | null)[] = readers.map((read) => (next() ? read(bytes, view, at, length) : null))
      const mature = ofMoment <= bound
      const matched = mature && outcomeAt !== null && !late
      return {
        predictionId,
        at: answeredAt,
        asOf: ofMoment,
        version,
        role,
        entity,
        output,
        columns: values,
        mature,
        matched,
        outcome: countedValue(outcome, mature, matched, found),
        amounts: outcome.figures.map(({ column }) =>
          matched ? amountOf(found[column] ?? null) : mature && outcome.missing !== null ? 0 : null,
        ),
        outcomeAt: matched ? outcomeAt : null,
        found: prediction === undefined || outcomeAt === null ? null : { at: outcomeAt, late, value: outcome.valueOf(found) },
      }
    })
  }
}

/**
 * The value that figures compare a prediction with; null: they leave it out.
 *
 * @param found the columns of the outcome's row, if the prediction is `matched`
 */
export function countedValue(
  { valueOf, missing }: OutcomePlan,
  mature: boolean,
  matched: boolean,
  found: readonly (Value | null)[],
): Value | null {
  return matched ? valueOf(found) : mature ? missing : null
}

function amountOf(value: Value | null): number | null {
  if (typeof value !== 'number' && typeof value !== 'bigint') return null
  const amount = Number(value)
  return Number.isFinite(amount) ? amount : null
}

const notFinite: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

/**
 * One output of a row. With a single output that is a number, JSON.parse of the row is left out: it is a third faster.
 */
function outputOf(json: string, name: string, quoted: string): JsonValue {
  if (json.startsWith(quoted, 1) && !json.includes(',')) {
    const number = Number(json.slice(quoted.length + 2, -1))
    if (!Number.isNaN(number) && json.charCodeAt(quoted.length + 2) !== 34) return number
  }
  const value = (JSON.parse(json) as Readonly<Record<string, JsonValue>>)[name] ?? null
  return notFinite.get(value) ?? value
}

const maxRemembered = 10_000

/** Values repeat in slices, so their JSON is parsed once. */
function rememberedJson(): (text: string) => JsonValue {
  const known = new Map<string, JsonValue>()
  return (text) => {
    let value = known.get(text)
    if (value === undefined) {
      value = JSON.parse(text) as JsonValue
      if (known.size < maxRemembered) known.set(text, value)
    }
    return value
  }
}
