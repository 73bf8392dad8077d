import type { VariantComparison, ExperimentResult, Interval, MetricResult } from './experiment-result.ts'

/**
 * The running intersection of confidence sequences: what an earlier look has excluded stays excluded. The p-value is
 * the least of all looks, so it and the interval agree still. Where an interval and the earlier ones exclude each
 * other, the one that excludes 0 stays, and the comparison says so.
 */
export function narrowed(metrics: readonly MetricResult[], previous: ExperimentResult | null, alpha: number): MetricResult[] {
  return metrics.map((metric) => ({
    ...metric,
    comparisons: metric.comparisons.map((each) => {
      const before = previous?.metrics
        .find(({ metric: name }) => name === metric.metric)
        ?.comparisons.find(({ variant }) => variant === each.variant)
      return before?.state === 'estimated' ? narrowedBy(each, before, alpha) : each
    }),
  }))
}

function narrowedBy(now: VariantComparison, before: VariantComparison, alpha: number): VariantComparison {
  // late rows or crossovers may remove units again; what was found before still holds
  if (now.state !== 'estimated') return { ...before, e: null, unadjusted: null, guardrail: now.guardrail }
  if (now.difference === null || before.difference === null) return now
  const p = now.p === null || before.p === null ? now.p : Math.min(now.p, before.p)
  const difference = intersection(now.difference, before.difference)
  const lift = now.lift === null || before.lift === null ? now.lift : (intersection(now.lift, before.lift) ?? now.lift)
  if (difference !== null) return { ...now, p, difference, lift, contradicts: before.contradicts }
  const kept = excludesZero(before.difference) || (p ?? 1) > alpha ? before.difference : now.difference
  return { ...now, p, difference: { ...kept, value: now.difference.value }, lift, contradicts: true }
}

function intersection(a: Interval, b: Interval): Interval | null {
  const [low, high] = [Math.max(a.low, b.low), Math.min(a.high, b.high)]
  return low > high ? null : { value: a.value, low, high }
}

function excludesZero({ low, high }: Interval): boolean {
  return low > 0 || high < 0
}
