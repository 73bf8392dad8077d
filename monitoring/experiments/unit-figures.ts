import type { Value } from '../../kernel/values/value-type.ts'
import type { RowPlace } from './exposed-units.ts'
import { none } from './exposed-units.ts'
import type { PlannedMeasure, PlannedMetric, UnitsPlan } from './plan-units.ts'

/** A unit of an experiment with its figures. */
export interface ExposedUnit {
  readonly unit: string
  readonly variant: string
  /** Epoch microseconds. */
  readonly exposedAt: number
  readonly propensity: number
  /** By index of the plan's `features`, as of the exposure. */
  readonly features: readonly (Value | null)[]
  /** By metric: null where it has no value for this unit, or not yet. */
  readonly figures: readonly (UnitFigure | null)[]
  /** By metric: whether the window has passed, and the time of outcomes after its last prediction. */
  readonly mature: readonly boolean[]
}

export interface UnitFigure {
  /** The value; of a ratio its numerator; of a metric by exposure the sum over its exposures. */
  readonly numerator: number
  /** 1 for a value by unit. */
  readonly denominator: number
}

/** A unit whose rows are being read. */
export interface OpenUnit extends Omit<ExposedUnit, 'figures'> {
  /** By window. */
  readonly mature: boolean[]
  /** By window: logged predictions in it. */
  readonly exposures: number[]
  /** By metric. */
  readonly tallies: readonly (readonly [Tally, Tally | null])[]
}

/** The values of a unit's predictions, one after the other. */
interface Tally {
  n: number
  sum: number
  least: number
  greatest: number
  first: number
  last: number
}

export function openUnit(
  { windows, metrics }: UnitsPlan,
  unit: Pick<ExposedUnit, 'unit' | 'variant' | 'exposedAt' | 'propensity' | 'features'>,
): OpenUnit {
  return {
    ...unit,
    mature: windows.map(() => false),
    exposures: windows.map(() => 0),
    tallies: metrics.map(({ denominator }) => [newTally(), denominator === null ? null : newTally()]),
  }
}

function newTally(): Tally {
  return { n: 0, sum: 0, least: Number.POSITIVE_INFINITY, greatest: Number.NEGATIVE_INFINITY, first: 0, last: 0 }
}

/** Adds a row that is not that of the exposure. `valueOf` reads its features. */
export function addRow(plan: UnitsPlan, open: OpenUnit, { window, time }: RowPlace, valueOf: (place: number) => Value | null): void {
  if (time === none) open.mature[window] = true
  else if (time === 0) open.exposures[window] = (open.exposures[window] as number) + 1
  for (const [i, metric] of plan.metrics.entries()) {
    if (metric.window !== window) continue
    const tallies = open.tallies[i] as (typeof open.tallies)[number]
    for (const [part, measure] of [metric.value, metric.denominator].entries()) {
      if (measure === null || (measure.afterPrediction === null ? none : measure.time) !== time) continue
      const value = measure.read(measure.places.map(valueOf))
      if (value !== null) addValue(tallies[part] as Tally, value)
    }
  }
}

function addValue(tally: Tally, value: number): void {
  if (tally.n === 0) tally.first = value
  tally.n++
  tally.sum += value
  tally.least = Math.min(tally.least, value)
  tally.greatest = Math.max(tally.greatest, value)
  tally.last = value
}

/** The unit, all of whose rows were added. */
export function closeUnit(plan: UnitsPlan, open: OpenUnit): ExposedUnit {
  const { tallies, exposures, mature, ...unit } = open
  const figures = plan.metrics.map((metric, i) => {
    const { window, value, denominator } = metric
    if (mature[window] !== true) return null
    const [above, below] = tallies[i] as (typeof tallies)[number]
    return figureOf(metric, valueOf(value, above), denominator === null || below === null ? null : valueOf(denominator, below), {
      exposures: exposures[window] as number,
      values: value.afterPrediction === null ? null : above.n,
      sum: above.sum,
    })
  })
  return { ...unit, figures, mature: plan.metrics.map(({ window }) => mature[window] === true) }
}

/** The value of a unit, over its predictions if its rows name one. */
function valueOf({ afterPrediction, aggregate }: PlannedMeasure, { n, sum, least, greatest, first, last }: Tally): number | null {
  if (afterPrediction === null) return n === 0 ? null : first
  if (n === 0) return null
  switch (aggregate) {
    case 'mean':
      return sum / n
    case 'min':
      return least
    case 'max':
      return greatest
    case 'first':
      return first
    case 'last':
      return last
    case 'count':
      return n
    default:
      return sum
  }
}

interface Exposures {
  readonly exposures: number
  /** Predictions with a value; null: the metric has one value for the unit. */
  readonly values: number | null
  readonly sum: number
}

function figureOf(
  { spec, denominator }: PlannedMetric,
  value: number | null,
  below: number | null,
  { exposures, values, sum }: Exposures,
): UnitFigure | null {
  const bounded = (x: number): number => (spec.winsorizeAt === null ? x : Math.min(x, spec.winsorizeAt))
  if (value === null || (denominator !== null && below === null)) return null
  const isShare = spec.kind === 'proportion'
  if (spec.per === 'unit') return { numerator: isShare ? Math.sign(value) : bounded(value), denominator: below ?? 1 }
  // the exposures of a metric whose rows name a prediction are those predictions; else each repeats the unit's value
  if (values !== null && denominator === null) return { numerator: bounded(sum), denominator: values }
  return { numerator: exposures * bounded(value), denominator: exposures * (below ?? 1) }
}
