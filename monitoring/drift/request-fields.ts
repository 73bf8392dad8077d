import type { Window } from '../window.ts'
import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binCount, binOf, categoryBins, categoryText, numberBins } from '../../statistics/column-bins.ts'
import { driftDistances } from '../../statistics/drift-distances.ts'
import { minSampledPsi, minSampledRows, sampleFields } from './sample-fields.ts'

type Field = string | number | boolean | null

/** Request data that differs from that of the time before. */
export interface MovedField {
  /** A sentence. */
  readonly text: string
  /** Features that are the same in rows where the field moved as in all others: it did not move them. */
  readonly unrelated: ReadonlySet<string>
}

/** With fewer rows where a field moved, or of the others, nothing is known of the features. */
const minRelatedRows = 100
/** A number with more values has bins. */
const maxValues = 20

/**
 * The request data that differs from that of the time before, by logged rows. Rollups do not have it: servers summarize
 * the features that on-demand views make of it.
 *
 * @param request of the service
 * @returns empty: none moved, or too few rows are logged
 */
export async function movedRequestFields(
  db: Pick<Database, 'query'>,
  { request, ...of }: { readonly model: string; readonly version: number; readonly request: readonly Column[] },
  window: Window,
): Promise<MovedField[]> {
  if (request.length === 0) return []
  const now = await sampleFields(db, ['request', 'features'], of, window)
  const before = await sampleFields(db, ['request'], of, { from: window.from - (window.to - window.from), to: window.from })
  if (now.length < minSampledRows || before.length < minSampledRows) return []
  return request.flatMap(({ name, type }) => {
    if (type.kind === 'vector' || type.kind === 'timestamp') return []
    const isNumber = type.kind !== 'string' && type.kind !== 'bool'
    const [q, p] = [now, before].map((rows) => rows.map((row) => fieldOf(row.request[name], isNumber))) as [Field[], Field[]]
    const bins = isNumber ? numberBins(Float64Array.from(finite(p)).toSorted()) : categoriesOf(p)
    const share = shareMoved(bins, p, q)
    if (share === null) return []
    const text = isNumber ? meansText(p, q) : `${formatShare(share)} of rows have other values than in the time before`
    const features = now.map((row) => row.features)
    return [{ text: `the request field "${name}" moved: ${text}`, unrelated: unrelatedFeatures(features, risenRows(bins, p, q)) }]
  })
}

/** By row: whether it has a value that more rows have than in the time before. */
function risenRows(bins: ColumnBins, before: readonly Field[], now: readonly Field[]): boolean[] {
  const [p, q] = [countsOf(bins, before), countsOf(bins, now)]
  return now.map((value) => {
    const bin = binOf(bins, value)
    return (q[bin] ?? 0) / now.length > (p[bin] ?? 0) / before.length
  })
}

function unrelatedFeatures(rows: readonly Readonly<Record<string, unknown>>[], isMoved: readonly boolean[]): Set<string> {
  const unrelated = new Set<string>()
  for (const name of Object.keys(rows[0] ?? {})) {
    const isNumber = rows.every((row) => row[name] === null || (row[name] !== '' && !Number.isNaN(Number(row[name]))))
    const values = rows.map((row) => fieldOf(row[name], isNumber))
    const [moved, others] = [values.filter((_, i) => isMoved[i] === true), values.filter((_, i) => isMoved[i] !== true)]
    const isFew = new Set(values).size <= maxValues
    // of many texts only the most frequent ones have a bin
    if (Math.min(moved.length, others.length) < minRelatedRows || (!isFew && !isNumber)) continue
    const bins = isFew ? categoriesOf(values) : numberBins(Float64Array.from(finite(values)).toSorted())
    if (shareMoved(bins, others, moved) === null) unrelated.add(name)
  }
  return unrelated
}

/** As the log has it: int64, NaN and infinities are texts there. */
function fieldOf(value: unknown, isNumber: boolean): Field {
  if (value === null || value === undefined) return null
  if (isNumber) return Number(value)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function finite(values: readonly Field[]): number[] {
  return values.filter((value): value is number => typeof value === 'number' && Number.isFinite(value))
}

function meansText(before: readonly Field[], now: readonly Field[]): string {
  const [former, current] = [before, now].map((values) => mean(finite(values))) as [number, number]
  return `its mean went from ${formatNumber(former)} in the time before to ${formatNumber(current)}`
}

function categoriesOf(values: readonly Field[]): ColumnBins {
  const counts = new Map<string, number>()
  for (const value of values) if (value !== null) counts.set(categoryText(value), (counts.get(categoryText(value)) ?? 0) + 1)
  return categoryBins(counts)
}

function countsOf(bins: ColumnBins, values: readonly Field[]): number[] {
  const counts = Array.from({ length: binCount(bins) }, () => 0)
  for (const value of values) {
    const bin = binOf(bins, value)
    counts[bin] = (counts[bin] ?? 0) + 1
  }
  return counts
}

/** The share of rows that changed bins; null: no more than chance gives. */
function shareMoved(bins: ColumnBins, before: readonly Field[], now: readonly Field[]): number | null {
  const [p, q] = [countsOf(bins, before), countsOf(bins, now)]
  // bins that are empty on both sides say nothing
  const used = p.flatMap((count, bin) => (count + (q[bin] ?? 0) > 0 ? [bin] : []))
  const inUsed = (counts: readonly number[]) => used.map((bin) => (counts[bin] ?? 0) + 0.5)
  const { psi } = driftDistances(inUsed(p), inUsed(q))
  const byChance = (used.length - 1) * (1 / before.length + 1 / now.length)
  if (psi - byChance < minSampledPsi) return null
  return used.reduce((sum, bin) => sum + Math.abs((q[bin] ?? 0) / now.length - (p[bin] ?? 0) / before.length), 0) / 2
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
