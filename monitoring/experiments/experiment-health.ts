import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { dayMicros, formatTimestamp } from '../../kernel/values/time.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { capitalized } from '../../kernel/values/capitalized.ts'
import { asymptoticSequence } from '../../statistics/confidence-sequence.ts'
import { requiredUnits, pooledSkewness } from '../../statistics/required-units.ts'
import { sampleRatioP } from '../../statistics/sample-ratio.ts'
import type { ExperimentEvidence } from './experiment-evidence.ts'
import type { ExperimentResult, HealthCheck, MetricResult, Progress } from './experiment-result.ts'
import { newUnitsRate } from './new-units-rate.ts'
import type { UnitSums } from './unit-sums.ts'

/** Below this p, the split or a covariate is not what chance would make: one false alarm in a thousand experiments. */
export const alarmP = 0.001

/** A share of crossovers above it is a fault of the unit, not of single ones. */
const maxCrossovers = 0.01

export function healthChecks(
  spec: ExperimentSpec,
  evidence: ExperimentEvidence,
  metrics: readonly MetricResult[],
  previous: ExperimentResult | null,
): HealthCheck[] {
  const before = (check: HealthCheck['check']): number => previous?.health.find((each) => each.check === check)?.value ?? 1
  return [
    sampleRatio(spec, evidence, before('sample ratio')),
    crossovers(evidence),
    lostExposures(evidence),
    ...(evidence.covariates.names.length === 0 ? [] : [covariateBalance(spec, evidence, before('covariate balance'))]),
    stableEffect(metrics),
    maturity(spec, evidence),
  ]
}

/** Whether the split of units is the planned one, at every look: the least p of all looks counts. */
function sampleRatio({ variants }: ExperimentSpec, { exposures, allocation }: ExperimentEvidence, before: number): HealthCheck {
  const check = 'sample ratio'
  const total = exposures.units.reduce((sum, units) => sum + units, 0)
  if (total === 0) return { check, state: 'unknown', value: null, text: 'No unit was exposed yet.' }
  const weights = variants.map(({ weight }) => weight)
  const value = Math.min(before, allocation === undefined ? sampleRatioP(exposures.units, weights) : splitOfPeriods(allocation))
  const planned = (i: number): number =>
    allocation === undefined
      ? (weights[i] ?? 0)
      : allocation.periods.reduce((sum, { shares }, k) => sum + (shares[i] ?? 0) * sumOf(allocation.units[k] ?? []), 0) /
        Math.max(1, sumOf(allocation.units.flat()))
  const shares = exposures.units
    .map((units, i) => `${variants[i]?.name} ${percent(units / total)} (planned ${percent(planned(i))})`)
    .join(', ')
  return value > alarmP
    ? { check, state: 'ok', value, text: `The units are split as planned: ${shares}.` }
    : {
        check,
        state: 'failing',
        value,
        text: `The units are not split as planned: ${shares}. The variants' units differ for a reason other than chance, so no figure can be trusted. Look for answers that fail or exposures that are lost in one variant only.`,
      }
}

/**
 * Each period has shares of its own, and their number is not known before. So the p of the k-th counts k(k+1) times:
 * the sum of 1/(k(k+1)) is 1, and the least stays valid at every look.
 */
function splitOfPeriods({ periods, units }: NonNullable<ExperimentEvidence['allocation']>): number {
  return Math.min(1, ...periods.map(({ shares }, i) => sampleRatioP(units[i] ?? [], shares) * (i + 1) * (i + 2)))
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}

function crossovers({ exposures }: ExperimentEvidence): HealthCheck {
  const check = 'crossovers'
  const total = exposures.units.reduce((sum, units) => sum + units, 0)
  if (total === 0) return { check, state: 'unknown', value: null, text: 'No unit was exposed yet.' }
  const value = exposures.crossovers / total
  const counted = `${exposures.crossovers} of ${total} units saw more than one variant`
  if (value <= maxCrossovers)
    return { check, state: exposures.crossovers === 0 ? 'ok' : 'warning', value, text: `${counted}, and are left out.` }
  return {
    check,
    state: 'failing',
    value,
    text: `${counted}. They are left out, and so many of them bias the rest. Check that the unit is the same in all requests, and that no version was named in some.`,
  }
}

/** What servers lost, what the prediction log gave back, and what stays unknown. */
function lostExposures({ exposures: { lost, unclosed, rebuilt } }: ExperimentEvidence): HealthCheck {
  const check = 'lost exposures'
  const value = Math.max(0, lost - rebuilt)
  const found = rebuilt === 0 ? '' : ` ${rebuilt} lost exposures were rebuilt from the prediction log.`
  if (value === 0 && unclosed === 0) return { check, state: 'ok', value, text: `No exposure is known to be missing.${found}` }
  const servers = unclosed === 0 ? '' : `${unclosed} ${unclosed === 1 ? 'server' : 'servers'} ended without writing down the last second`
  const dropped = lost === 0 ? '' : `servers dropped ${lost} exposures while the database was unavailable`
  const what = [dropped, servers].filter((each) => each !== '').join(', and ')
  const missing = value > 0 ? `Up to ${value} exposures are missing still` : 'It is not known how many exposures that second had'
  return {
    check,
    state: 'warning',
    value,
    text: `${capitalized(what)}.${found} ${missing}: those of predictions that were not logged either. Units that come again are exposed again, later.`,
  }
}

/**
 * Covariates were known before the exposure, so they must be alike in all variants. A skewed one waits for the units
 * from which the sequence holds.
 */
function covariateBalance({ variants }: ExperimentSpec, { covariates }: ExperimentEvidence, before: number): HealthCheck {
  const check = 'covariate balance'
  const [control, ...treatments] = covariates.arms
  let least = { p: 1, name: '', variant: '' }
  let compared = 0
  const waiting = new Set<string>()
  for (const [k, name] of covariates.names.entries()) {
    for (const [t, treatment] of treatments.entries()) {
      if (control === undefined) continue
      // its value and whether it is missing
      for (const at of [2 * k, 2 * k + 1]) {
        const p = columnP(control, treatment, at)
        if (p === 'too few units') waiting.add(name)
        else if (p !== null) compared++
        if (typeof p === 'number' && p < least.p) least = { p, name, variant: variants[t + 1]?.name ?? '' }
      }
    }
  }
  const tests = 2 * covariates.names.length * treatments.length
  const value = Math.min(before, 1, least.p * tests)
  if (value > alarmP) {
    const few = `${quotedNames(waiting)} ${waiting.size === 1 ? 'has' : 'have'} too few units in a variant to be compared yet; the more a few units differ from the others, the more are needed.`
    if (compared === 0 && waiting.size > 0)
      return { check, state: 'unknown', value: null, text: `The covariates cannot be compared: ${few}` }
    return { check, state: 'ok', value, text: `The covariates are alike in all variants.${waiting.size === 0 ? '' : ` ${few}`}` }
  }
  return {
    check,
    state: 'failing',
    value,
    text: `${least.name === '' ? 'A covariate' : `The covariate "${least.name}"`} differs between ${least.variant === '' ? 'variants' : `"${least.variant}" and the control`}, though it was known before the exposure. The units were not assigned by chance alone, or a variant changes what is known at its own exposures.`,
  }
}

/** How unlikely the distance of two arms in a column is by chance; null: the column does not vary. */
function columnP(control: UnitSums, treatment: UnitSums, at: number): number | 'too few units' | null {
  const width = control.mean.length
  const moments = [control, treatment].map(({ n, cross, cubes }) => ({ n, squares: cross[at * width + at] ?? 0, cubes: cubes[at] ?? 0 }))
  if (moments.every(({ squares }) => squares === 0)) return null
  const total = control.n + treatment.n
  if (!(total >= requiredUnits(pooledSkewness(moments), treatment.n / total))) return 'too few units'
  const standardError = Math.sqrt(moments.reduce((sum, { n, squares }) => sum + squares / (n - 1) / n, 0))
  const distance = (treatment.mean[at] as number) - (control.mean[at] as number)
  return asymptoticSequence(distance, standardError, total).p
}

function stableEffect(metrics: readonly MetricResult[]): HealthCheck {
  const check = 'stable effect'
  const changed = metrics.find(({ comparisons }) => comparisons.some(({ contradicts }) => contradicts))
  if (changed === undefined) return { check, state: 'ok', value: 0, text: 'All looks agree with each other.' }
  return {
    check,
    state: 'failing',
    value: 1,
    text: `Looks at "${changed.metric}" exclude each other: its effect changed while the experiment ran. Compare the days since the exposure, and the slices.`,
  }
}

function maturity(spec: ExperimentSpec, evidence: ExperimentEvidence): HealthCheck {
  const { immatureShare, units, maturesAt } = progressOf(spec, evidence)
  const { waiting, withoutValue } = countsOf(evidence)
  const until =
    maturesAt === null || maturesAt === undefined
      ? ''
      : `the first at ${minuteText(maturesAt.first)}, the last of those exposed so far at ${minuteText(maturesAt.last)}`
  const others = laterInOthers(spec, evidence)
  const check = 'maturity'
  if (units + withoutValue === 0)
    return {
      check,
      state: 'unknown',
      value: null,
      text: `No unit is mature yet: the window of the primary metric has to pass.${until === '' ? '' : ` The units count later: ${until}.`}`,
    }
  return {
    check,
    state: units === 0 ? 'unknown' : 'ok',
    value: 1 - immatureShare,
    text: [
      waiting === 0
        ? `All units are mature${others === '' ? '' : ' for the primary metric'}`
        : `${percent(1 - immatureShare)} of the units are mature`,
      withoutValue === 0 ? '.' : `; ${withoutValue} of ${units + withoutValue} have no value of the primary metric.`,
      waiting === 0 ? '' : ` The others count later${until === '' ? '' : `: ${until}`}.`,
      others === '' ? '' : ` Units that count later in other metrics: ${others}.`,
    ].join(''),
  }
}

/** The units that count later in other metrics, whose windows are longer: `14 of "guard"`. */
function laterInOthers({ metrics }: ExperimentSpec, evidence: ExperimentEvidence): string {
  const texts = metrics.slice(1).flatMap(({ name }, i) => {
    const waiting = sumOf(evidence.metrics[i + 1]?.immature ?? [])
    return waiting === 0 ? [] : [`${waiting} of "${name}"`]
  })
  return texts.join(', ')
}

/** A moment in UTC to the minute, rounded up: then it has passed. */
function minuteText(moment: string): string {
  const minuteMs = 60_000
  const up = new Date(Math.ceil(Date.parse(moment) / minuteMs) * minuteMs)
  return `${up.toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

/** Units by what the primary metric has of them: a value, one later, or none although they are mature. */
function countsOf({ metrics, covariates }: ExperimentEvidence): { units: number; waiting: number; withoutValue: number } {
  const [primary] = metrics
  const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0)
  const units = total(primary?.sums.map(({ n }) => n) ?? [])
  const waiting = total(primary?.immature ?? [])
  return { units, waiting, withoutValue: Math.max(0, total(covariates.arms.map(({ n }) => n)) - units - waiting) }
}

export function progressOf(spec: ExperimentSpec, evidence: ExperimentEvidence): Progress {
  const { metrics, exposures } = evidence
  const [primary] = metrics
  const { units, waiting, withoutValue } = countsOf(evidence)
  const unitsByDay = newUnitsRate(exposures.newByDay)
  const planned = spec.analysis.units
  const lacking = planned === null ? null : Math.max(0, planned - units - waiting)
  const matureAfterMicros = primary?.matureAfterMicros ?? 0
  const since = primary?.immatureSince ?? null
  return {
    units,
    planned,
    immatureShare: waiting === 0 ? 0 : waiting / (units + waiting + withoutValue),
    maturesAt:
      since === null
        ? null
        : { first: formatTimestamp(since.first + matureAfterMicros), last: formatTimestamp(since.last + matureAfterMicros) },
    unitsByDay,
    daysLeft:
      planned === null || lacking === null
        ? null
        : units >= planned
          ? 0
          : lacking === 0
            ? matureAfterMicros / dayMicros
            : unitsByDay === null || unitsByDay === 0
              ? null
              : lacking / unitsByDay + matureAfterMicros / dayMicros,
  }
}

/** With the decimals that tell a share from none and from all: 0.01 %, 99.99 %. */
function percent(share: number): string {
  const least = Math.min(share, 1 - share) * 100
  const decimals = least > 0 ? Math.min(12, Math.max(1, 1 - Math.floor(Math.log10(least)))) : 1
  return `${Number((share * 100).toFixed(decimals))} %`
}
