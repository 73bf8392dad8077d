import type { EntityKey } from '../kernel/values/entity-key.ts'
import { windowStart } from '../kernel/states/hop.ts'
import type { FoldRow, Status } from '../kernel/states/state.ts'
import { isBefore } from '../kernel/states/state.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { AggregateSpec, FeatureSpec } from '../kernel/specs/view-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { GreatestRows } from './rows/greatest-rows.ts'
import type { SourceRow } from './rows/row-decoder.ts'
import { sourceRows } from './rows/source-stream.ts'
import { readSourceTable } from './rows/source-table.ts'

/** A row of an entity, with the values that matter to a feature. */
export interface ExplainedRow {
  /** Epoch microseconds. */
  readonly eventTime: number
  readonly knownTime: number
  /** From when it counts, with the availability. Infinity: never. */
  readonly visibleAt: number
  /** `_row`, where the table has it; else null. */
  readonly row: number | null
  /** The transaction that wrote it; null where the table has no arrival columns. */
  readonly xid: number | null
  /** The value of the column that the feature reads; null also for a count of rows. */
  readonly value: Value | null
}

/** Why a row did not win: the part of the total order in which it is less than the winner. */
export type Beaten = 'earlier event' | 'known earlier' | 'smaller in the tie'

export interface ExplainedFeature {
  readonly spec: FeatureSpec
  readonly value: Value | null
  readonly status: Status
  /** The row that the value comes from; null: there is none, or an aggregate combines several. */
  readonly winner: ExplainedRow | null
  /** For a latest value: the rows after the winner, greatest first, with the reason. */
  readonly beaten: readonly (ExplainedRow & { readonly why: Beaten })[]
  /** For an aggregate: the greatest rows that it counts. */
  readonly counted: readonly ExplainedRow[]
  /** For a window: the event times that it covers, both included. */
  readonly span: { readonly from: number; readonly to: number } | null
  /** How many rows took part, and how many did not, by the reason. */
  readonly rows: { readonly taken: number; readonly outsideWindow: number; readonly where: number }
}

export interface ExplainedView {
  readonly features: readonly ExplainedFeature[]
  /** Rows of the entity within the view's reach: visible at the moment, not yet, and left out by the transform. */
  readonly rows: { readonly visible: number; readonly notYetVisible: number; readonly dropped: number }
  /** Those that are visible soonest after the moment; without values. */
  readonly notYetVisible: readonly ExplainedRow[]
}

/**
 * Why a view has its values for an entity at a moment, from the offline history: with the same rows, states and order
 * as everywhere. Of the rows that did not win, or that were counted, the greatest few are kept.
 *
 * @param options.maxRows the maximum number of rows of each kind
 * @param options.asOf epoch microseconds
 * @throws LockstepError as `sourceRows`; what the states throw
 */
export async function explainView(
  db: Database,
  plan: ViewPlan,
  key: EntityKey,
  { asOf, maxRows, signal }: { readonly asOf: number; readonly maxRows: number; readonly signal?: AbortSignal },
): Promise<ExplainedView> {
  const columns = [...plan.columns, ...plan.spec.derive].map(({ name }) => name)
  const lenses = plan.spec.features.map((spec) => new Lens(spec, columns, asOf, maxRows))
  const waiting = new GreatestRows<ExplainedRow>(maxRows, (a, b) => a.visibleAt > b.visibleAt)
  const state = plan.newState()
  const rows = { visible: 0, notYetVisible: 0, dropped: 0 }
  await db.snapshot(async (snapshot) => {
    const { hasXid } = await readSourceTable(snapshot, plan.spec.source)
    for await (const batch of sourceRows(snapshot, [plan], { keys: [key], withXid: hasXid })) {
      signal?.throwIfAborted()
      for (const row of batch) {
        const visibleAt = plan.visibleAt(row.eventTime, row.knownTime)
        const folded = plan.fold(row.eventTime, row.knownTime, row.tie, row.values)
        if (visibleAt > asOf) {
          rows.notYetVisible++
          waiting.add({ ...shown(row, visibleAt, null), visibleAt })
        } else if (folded === null) {
          rows.dropped++
        } else {
          rows.visible++
          state.add(folded, asOf)
          for (const lens of lenses) lens.add(row, folded)
        }
      }
    }
  })
  const { values, statuses } = state.valueAt(asOf)
  return {
    features: lenses.map((lens, i) => lens.explained(values[i] ?? null, statuses[i] as Status)),
    rows,
    notYetVisible: waiting.list,
  }
}

interface Candidate {
  readonly folded: FoldRow
  readonly shown: ExplainedRow
}

/** The rows as one feature sees them. */
class Lens {
  readonly #spec: FeatureSpec
  readonly #slot: number
  readonly #where: number | null
  readonly #span: { readonly from: number; readonly to: number } | null
  readonly #candidates: GreatestRows<Candidate>
  /** The one row that an aggregate has its value from; null: it has it from several. */
  readonly #source: GreatestRows<Candidate> | null
  readonly #rows = { taken: 0, outsideWindow: 0, where: 0 }

  constructor(spec: FeatureSpec, columns: readonly string[], asOf: number, maxRows: number) {
    this.#spec = spec
    this.#slot = spec.column === null ? -1 : columns.indexOf(spec.column)
    this.#where = spec.where === undefined ? null : columns.indexOf(spec.where)
    this.#span = spec.kind === 'window' ? { from: windowStart(asOf, spec.windowMicros, spec.hopMicros), to: asOf } : null
    this.#candidates = new GreatestRows(maxRows + 1, (a, b) => isBefore(a.folded, b.folded))
    const order = spec.kind === 'latest' ? null : orderOfValue(spec)
    this.#source = order === null ? null : new GreatestRows(1, order)
  }

  add(row: SourceRow, folded: FoldRow): void {
    if (this.#where !== null && folded.values[this.#where] !== true) {
      this.#rows.where++
    } else if (this.#span !== null && folded.eventTime < this.#span.from) {
      this.#rows.outsideWindow++
    } else {
      this.#rows.taken++
      const candidate = { folded, shown: shown(row, folded.visibleAt, folded.values[this.#slot] ?? null) }
      this.#candidates.add(candidate)
      this.#source?.add(candidate)
    }
  }

  explained(value: Value | null, status: Status): ExplainedFeature {
    const { list } = this.#candidates
    const common = { spec: this.#spec, value, status, span: this.#span, rows: this.#rows }
    if (this.#spec.kind !== 'latest') {
      const counted = list.slice(0, -1 + this.#candidates.capacity).map((each) => each.shown)
      return { ...common, winner: this.#source?.list[0]?.shown ?? null, beaten: [], counted }
    }
    const [winner] = list
    return {
      ...common,
      winner: winner?.shown ?? null,
      beaten: list.slice(1).map((each) => ({ ...each.shown, why: whyBeaten(each.folded, (winner as Candidate).folded) })),
      counted: [],
    }
  }
}

/** The order whose greatest row an aggregate has its value from; null: it combines rows. */
function orderOfValue({ aggregate }: AggregateSpec): ((a: Candidate, b: Candidate) => boolean) | null {
  switch (aggregate) {
    case 'first':
      return (a, b) => isBefore(b.folded, a.folded)
    case 'last':
      return (a, b) => isBefore(a.folded, b.folded)
    case 'min':
      return (a, b) => isLess(a, b, (least, other) => least > other)
    case 'max':
      return (a, b) => isLess(a, b, (greatest, other) => greatest < other)
    default:
      return null
  }
}

/** null is the least, and NaN the greatest. Of equal values, the later row is the greater one. */
function isLess(a: Candidate, b: Candidate, compare: (a: Value, b: Value) => boolean): boolean {
  const [x, y] = [a.shown.value, b.shown.value]
  if (Object.is(x, y)) return isBefore(a.folded, b.folded)
  if (x === null || y === null) return x === null
  return Number.isNaN(y) ? !Number.isNaN(x) : compare(x, y)
}

function whyBeaten(row: FoldRow, winner: FoldRow): Beaten {
  if (row.eventTime !== winner.eventTime) return 'earlier event'
  return row.knownTime === winner.knownTime ? 'smaller in the tie' : 'known earlier'
}

function shown({ eventTime, knownTime, tie, xid }: SourceRow, visibleAt: number, value: Value | null): ExplainedRow {
  return {
    eventTime,
    knownTime: knownTime === null || knownTime === Number.NEGATIVE_INFINITY ? eventTime : knownTime,
    visibleAt,
    row: typeof tie === 'number' ? tie : null,
    xid: xid < 0 ? null : xid,
    value,
  }
}
