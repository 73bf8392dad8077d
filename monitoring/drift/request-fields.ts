import { formatNumber, formatShare } from '../../kernel/format-number.ts'
import type { Column } from '../../kernel/value-type.ts'
import type { Database } from '../../runtime/database.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binCount, binOf, categoryBins, categoryText, numberBins } from '../../statistics/column-bins.ts'
import { driftDistances } from '../../statistics/drift-distances.ts'
import type { Window } from './drift-types.ts'
import { minSampledPsi, minSampledRows, sampleField } from './sample-field.ts'

type Field = string | number | boolean | null

/**
 * The request data that differs from that of the time before, by logged rows. Rollups do not have it: servers summarize
 * the features that on-demand views make of it.
 *
 * @param request of the service
 * @returns a sentence for each field; empty: none moved, or too few rows are logged
 */
export async function movedRequestFields(
  db: Pick<Database, 'query'>,
  { request, ...of }: { readonly model: string; readonly version: number; readonly request: readonly Column[] },
  window: Window,
): Promise<string[]> {
  if (request.length === 0) return []
  const now = await sampleField(db, 'request', of, window)
  const before = await sampleField(db, 'request', of, { from: window.from - (window.to - window.from), to: window.from })
  if (now.length < minSampledRows || before.length < minSampledRows) return []
  return request.flatMap(({ name, type }) => {
    if (type.kind === 'vector' || type.kind === 'timestamp') return []
    const isNumber = type.kind !== 'string' && type.kind !== 'bool'
    const [q, p] = [now, before].map((rows) => rows.map((row) => fieldOf(row[name], isNumber))) as [Field[], Field[]]
    const text = isNumber ? movedNumber(p, q) : movedCategory(p, q)
    return text === null ? [] : [`the request field "${name}" moved: ${text}`]
  })
}

/** As the log has it: int64, NaN and infinities are texts there. */
function fieldOf(value: unknown, isNumber: boolean): Field {
  if (value === null || value === undefined) return null
  if (isNumber) return Number(value)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function movedNumber(before: readonly Field[], now: readonly Field[]): string | null {
  const finite = (values: readonly Field[]) =>
    values.filter((value): value is number => typeof value === 'number' && Number.isFinite(value))
  if (shareMoved(numberBins(Float64Array.from(finite(before)).toSorted()), before, now) === null) return null
  const [former, current] = [before, now].map((values) => mean(finite(values))) as [number, number]
  return `its mean went from ${formatNumber(former)} in the time before to ${formatNumber(current)}`
}

function movedCategory(before: readonly Field[], now: readonly Field[]): string | null {
  const counts = new Map<string, number>()
  for (const value of before) if (value !== null) counts.set(categoryText(value), (counts.get(categoryText(value)) ?? 0) + 1)
  const moved = shareMoved(categoryBins(counts), before, now)
  return moved === null ? null : `${formatShare(moved)} of rows have other values than in the time before`
}

/** The share of rows that changed bins; null: no more than chance gives. */
function shareMoved(bins: ColumnBins, before: readonly Field[], now: readonly Field[]): number | null {
  const [p, q] = [before, now].map((values) => {
    const counts = Array.from({ length: binCount(bins) }, () => 0)
    for (const value of values) {
      const bin = binOf(bins, value)
      counts[bin] = (counts[bin] ?? 0) + 1
    }
    return counts
  }) as [number[], number[]]
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
