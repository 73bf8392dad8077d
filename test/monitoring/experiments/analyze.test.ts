import { describe, expect, test } from 'vitest'
import type { ExperimentSpec, MetricSpec } from '../../../kernel/specs/experiment-spec.ts'
import { analyzeExperiment } from '../../../monitoring/experiments/analyze-experiment.ts'
import type { ExperimentEvidence, MetricEvidence } from '../../../monitoring/experiments/experiment-evidence.ts'
import type { VariantComparison, ExperimentResult, MetricResult } from '../../../monitoring/experiments/experiment-result.ts'
import { createUnitBinner } from '../../../monitoring/experiments/unit-bins.ts'
import { createUnitSummer } from '../../../monitoring/experiments/unit-sums.ts'
import type { Moments } from '../../../statistics/interval.ts'
import { studentQuantile } from '../../../statistics/distributions.ts'
import type { Random } from '../../../statistics/random.ts'
import { createRandom } from '../../../statistics/random.ts'
import { sampleRatioP } from '../../../statistics/sample-ratio.ts'

const day = 86_400_000_000

function welchInterval(first: Moments, second: Moments) {
  const [a, b] = [first.variance / first.n, second.variance / second.n]
  const degrees = (a + b) ** 2 / (a ** 2 / (first.n - 1) + b ** 2 / (second.n - 1))
  const half = studentQuantile(0.975, degrees) * Math.sqrt(a + b)
  return { low: second.mean - first.mean - half, high: second.mean - first.mean + half }
}

type Kind = MetricSpec['kind']

function metricOf(kind: Kind, more: Partial<MetricSpec> = {}): MetricSpec {
  const value = { of: { kind: 'outcome', outcome: 'x' }, aggregate: 'sum', column: null } as const
  const base = { name: kind, role: 'primary', withinMicros: day, winsorizeAt: null, per: 'unit', better: 'higher', margin: null } as const
  const body =
    kind === 'ratio'
      ? { kind, numerator: value, denominator: value }
      : kind === 'quantile'
        ? { kind, value, quantile: 0.9 }
        : { kind, value }
  return { ...base, ...body, ...more } as MetricSpec
}

function specOf(metrics: readonly MetricSpec[], analysis: Partial<ExperimentSpec['analysis']> = {}): ExperimentSpec {
  return {
    name: 'trial',
    model: 'm',
    unit: 'user',
    variants: [
      { name: 'control', serves: 'champion', weight: 0.5 },
      { name: 'treatment', serves: 7, weight: 0.5 },
    ],
    layer: null,
    metrics,
    covariates: [],
    slices: [],
    analysis: { method: 'sequential', alpha: 0.05, correction: 'none', units: null, prior: null, ...analysis },
  }
}

/** Values of a unit: numerator, denominator, covariates. */
type Draw = (random: Random, arm: number) => readonly number[]

const meanDraw: Draw = (random) => [10 + 3 * random.normal(), 1]

function metricEvidence(draws: readonly (readonly (readonly number[])[])[]): MetricEvidence {
  const width = draws[0]?.[0]?.length ?? 2
  return {
    sums: draws.map((arm) => {
      const summer = createUnitSummer(width)
      for (const values of arm) summer.add(values)
      return summer.sums()
    }),
    bins: draws.map((arm) => {
      const binner = createUnitBinner()
      for (const [value] of arm) binner.add(value as number)
      return binner.bins()
    }),
    immature: draws.map(() => 0),
    matureAfterMicros: day,
  }
}

function evidenceOf(metrics: readonly MetricEvidence[], more: Partial<ExperimentEvidence> = {}): ExperimentEvidence {
  const units = metrics[0]?.sums.map(({ n }) => n) ?? []
  return {
    asOf: 100 * day,
    exposures: { units, rows: units, crossovers: 0, newByDay: Array(7).fill(100), lost: 0, unclosed: 0, rebuilt: 0 },
    metrics,
    covariates: { names: [], arms: [] },
    slices: [],
    periods: [],
    ...more,
  }
}

function drawArms(n: number, draw: Draw, seed: number): number[][][] {
  const random = createRandom(seed)
  return [0, 1].map((arm) => Array.from({ length: n }, () => [...draw(random, arm)]))
}

function first(result: ExperimentResult, metric = 0): VariantComparison {
  return result.metrics[metric]?.comparisons[0] as VariantComparison
}

function look(metric: MetricSpec, arms: number[][][], n: number, previous: ExperimentResult | null, analysis = {}): ExperimentResult {
  const evidence = evidenceOf([metricEvidence(arms.map((arm) => arm.slice(0, n)))])
  return analyzeExperiment(specOf([metric], analysis), evidence, previous)
}

describe('analyzeExperiment', () => {
  const draws: Readonly<Record<Kind, (effect: number) => Draw>> = {
    mean: (effect) => (random, arm) => [10 + effect * arm + 3 * random.normal(), 1],
    proportion: (effect) => (random, arm) => [random.next() < 0.3 + effect * arm ? 1 : 0, 1],
    ratio: (effect) => (random, arm) => {
      const clicks = 1 + random.below(9)
      return [clicks * (2 + effect * arm + 0.5 * random.normal()), clicks]
    },
    quantile: (effect) => (random, arm) => [Math.exp(random.normal()) * (1 + effect * arm), 1],
  }
  const effects: Readonly<Record<Kind, { readonly planted: number; readonly truth: number }>> = {
    mean: { planted: 0.8, truth: 0.8 },
    proportion: { planted: 0.1, truth: 0.1 },
    ratio: { planted: 0.2, truth: 0.2 },
    // the 0.9 quantile of a log-normal is e^1.2816
    quantile: { planted: 0.5, truth: 0.5 * Math.exp(1.2815515655446004) },
  }

  for (const kind of ['mean', 'proportion', 'ratio', 'quantile'] as const) {
    test(`a sequence of a ${kind} narrows, covers the truth and agrees with its p`, () => {
      const { planted, truth } = effects[kind]
      const arms = drawArms(6000, draws[kind](planted), 7)
      let previous: ExperimentResult | null = null
      let width = Number.POSITIVE_INFINITY
      for (let n = 300; n <= 6000; n += 300) {
        const result = look(metricOf(kind), arms, n, previous)
        const { difference, unadjusted, p, contradicts } = first(result)
        if (difference === null || p === null) throw new Error(`no estimate at ${n}`)
        expect(contradicts).toBe(false)
        expect((unadjusted ?? null) === null).toBe(kind === 'quantile')
        expect(difference.low).toBeLessThanOrEqual(truth)
        expect(difference.high).toBeGreaterThanOrEqual(truth)
        expect(difference.low > 0 || difference.high < 0).toBe(p <= 0.05)
        expect(difference.high - difference.low).toBeLessThanOrEqual(width)
        width = difference.high - difference.low
        previous = result
      }
      expect(first(previous as unknown as ExperimentResult).significant).toBe(true)
    })
  }

  test('each look of a sequence has the interval of Welch too, which is not narrowed by earlier looks', () => {
    const arms = drawArms(2000, draws.mean(0), 3)
    const once = look(metricOf('mean'), arms, 500, null)
    const { unadjusted, difference } = first(look(metricOf('mean'), arms, 2000, once))
    const [control, treatment] = arms.map((arm) => {
      const values = arm.map(([value]) => value as number)
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return { n: values.length, mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) }
    }) as [Moments, Moments]
    const { low, high } = welchInterval(control, treatment)
    expect(unadjusted).toEqual({ value: difference?.value, low: expect.closeTo(low, 9), high: expect.closeTo(high, 9) })
    // units taken away again leave no such interval, but what was found before
    expect(first(look(metricOf('mean'), arms, 20, once))).toMatchObject({ unadjusted: null, difference: first(once).difference })
  })

  test('a look that excludes earlier ones is reported and keeps interval and p in agreement', () => {
    const before = look(metricOf('mean'), drawArms(2000, draws.mean(1), 1), 2000, null)
    const after = look(metricOf('mean'), drawArms(4000, draws.mean(-1), 2), 4000, before)
    const { difference, p, contradicts } = first(after)
    expect(contradicts).toBe(true)
    expect(difference?.low).toBe(first(before).difference?.low)
    expect(p).toBeLessThanOrEqual(0.05)
    expect(after.health.find(({ check }) => check === 'stable effect')?.state).toBe('failing')
  })

  test('small arms, rare shares and a total of a few units wait and say for what', () => {
    const waits = (metric: MetricSpec, arms: number[][][], n: number, analysis = {}) => {
      const { state, waitsFor, difference, p, significant } = first(look(metric, arms, n, null, analysis))
      expect({ state, difference, p, significant }).toEqual({ state: 'not enough units', difference: null, p: null, significant: false })
      return waitsFor
    }
    expect(waits(metricOf('mean'), drawArms(200, meanDraw, 1), 80)).toMatchObject({ units: 80, needed: 100 })
    const rare: Draw = (random) => [random.next() < 0.01 ? 1 : 0, 1]
    expect(waits(metricOf('proportion'), drawArms(300, rare, 1), 300)).toMatchObject({ needed: 10 })
    const heavy: Draw = (random, arm) => [arm === 1 && random.next() < 0.02 ? 500 : random.next(), 1]
    expect(waits(metricOf('mean'), drawArms(300, heavy, 1), 300)?.needed).toBeGreaterThan(300)
    // two bots of opposite rates have most of the rows, so the skewness of both arms is small
    const bots = [0.1, 0.5].map((rate) => [[10_000 * rate, 10_000], ...Array.from({ length: 999 }, (_, i) => [1 + (i % 2), 5])])
    expect(waits(metricOf('ratio'), bots, 1000)).toMatchObject({ units: 2, needed: 100 })
    const fixed = { method: 'fixed', units: 1000 } as const
    expect(waits(metricOf('mean'), drawArms(300, meanDraw, 1), 300, fixed)).toEqual({ units: 600, needed: 1000, why: 'of the plan' })
  })

  test('a fixed analysis is not repeated once it has its units', () => {
    const arms = drawArms(3000, draws.mean(0.3), 5)
    const fixed = { method: 'fixed', units: 2000 } as const
    const once = look(metricOf('mean'), arms, 1000, null, fixed)
    const { difference, p } = first(once)
    expect(difference && difference.low <= 0.3 && difference.high >= 0.3).toBe(true)
    expect((difference?.low ?? 0) > 0).toBe((p ?? 1) <= 0.05)
    expect(first(look(metricOf('mean'), arms, 3000, once, fixed))).toEqual(first(once))
  })

  test('a fixed analysis shows no slice and no period before its units are there, and keeps what it found', () => {
    const arms = drawArms(3000, draws.mean(0.6), 5)
    const spec = specOf([metricOf('mean')], { method: 'fixed', units: 2000 })
    const lookAt = (n: number, previous: ExperimentResult | null) => {
      const metric = metricEvidence(arms.map((arm) => arm.slice(0, n)))
      const slices = [{ feature: 'country', value: 'CH', others: false, arms: metric.sums }]
      const periods = [{ fromMicros: 0, toMicros: day, arms: metric.sums }]
      return analyzeExperiment(spec, evidenceOf([metric], { slices, periods }), previous)
    }
    const partsOf = ({ slices, periods }: ExperimentResult) => [slices[0]?.groups[0]?.comparisons[0], periods[0]?.comparisons[0]]
    const early = lookAt(500, null)
    expect(partsOf(early)).toMatchObject([
      { state: 'not enough units', difference: null, p: null },
      { state: 'not enough units', difference: null, p: null },
    ])
    const once = lookAt(1000, early)
    expect(partsOf(once)).toMatchObject([{ state: 'estimated' }, { state: 'estimated' }])
    expect(partsOf(lookAt(3000, once))).toEqual(partsOf(once))
  })

  test('a slice of a fixed analysis waits for the primary metric, if other units have most of the total', () => {
    const [heavy = [], light = []] = drawArms(1000, meanDraw, 5)
    const all = metricEvidence([[...heavy, [5000, 1]], light])
    const slices = [{ feature: 'country', value: 'CH', others: false, arms: metricEvidence([heavy, light]).sums }]
    const spec = specOf([metricOf('mean')], { method: 'fixed', units: 2000 })
    const result = analyzeExperiment(spec, evidenceOf([all], { slices }), null)
    expect(first(result)).toMatchObject({ state: 'not enough units', waitsFor: { units: 2001 } })
    expect(result.slices[0]?.groups[0]?.comparisons[0]?.waitsFor).toEqual(first(result).waitsFor)
  })

  test('a fixed analysis of three variants waits until each of them has its units', () => {
    const arms = drawArms(1000, draws.mean(0.6), 5)
    const [control = [], treatment = []] = arms
    const spec = specOf([metricOf('mean')], { method: 'fixed', units: 500 })
    const variants = [...spec.variants, { name: 'third', serves: 8, weight: 0.1 }]
    const result = analyzeExperiment(
      { ...spec, variants },
      evidenceOf([metricEvidence([control, treatment, treatment.slice(0, 50)])]),
      null,
    )
    expect(result.metrics[0]?.comparisons.map(({ state }) => state)).toEqual(['not enough units', 'not enough units'])
  })

  test('the quantiles of the variants differ by the difference', () => {
    const { arms, comparisons } = look(metricOf('quantile'), drawArms(500, draws.mean(1), 5), 500, null).metrics[0] as MetricResult
    expect((arms[1]?.value ?? 0) - (arms[0]?.value ?? 0)).toBeCloseTo(comparisons[0]?.difference?.value ?? 0, 12)
  })

  test('a fixed analysis looks at a metric with a longer window once that has its units', () => {
    const arms = drawArms(3000, draws.mean(0.3), 5)
    const slow = metricOf('mean', { name: 'slow', role: 'secondary', withinMicros: 7 * day })
    const spec = specOf([metricOf('mean'), slow], { method: 'fixed', units: 2000, correction: 'holm' })
    const lookAt = (early: number, late: number, previous: ExperimentResult | null) =>
      analyzeExperiment(spec, evidenceOf([early, late].map((n) => metricEvidence(arms.map((arm) => arm.slice(0, n))))), previous)
    const once = lookAt(1000, 400, null)
    expect([first(once).state, first(once, 1).state]).toEqual(['estimated', 'not enough units'])
    // the family has two metrics from the start
    expect(first(once).adjustedP).toBeCloseTo(2 * (first(once).p ?? 1), 12)
    const later = lookAt(3000, 1000, once)
    expect(first(later, 1)).toMatchObject({ state: 'estimated', p: first(once).p })
    expect(first(later).difference).toEqual(first(once).difference)
    const last = lookAt(3000, 3000, later)
    expect(last.metrics.map(({ comparisons }) => comparisons)).toEqual(later.metrics.map(({ comparisons }) => comparisons))
  })

  test('a Bayesian analysis shrinks the lift to its prior and states chance and risk', () => {
    const arms = drawArms(400, draws.mean(1), 5)
    const wide = first(look(metricOf('mean'), arms, 400, null, { method: 'bayesian', prior: { mean: 0, deviation: 10 } }))
    const tight = first(look(metricOf('mean'), arms, 400, null, { method: 'bayesian', prior: { mean: 0, deviation: 0.02 } }))
    expect(Math.abs(tight.lift?.value ?? 1)).toBeLessThan(Math.abs(wide.lift?.value ?? 0))
    expect(wide.bayesian?.chance).toBeGreaterThan(0.95)
    expect(wide.bayesian?.risk).toBeLessThan(0.005)
    expect(wide.p).toBeNull()
    const lower = first(
      look(metricOf('mean', { better: 'lower' }), arms, 400, null, { method: 'bayesian', prior: { mean: 0, deviation: 10 } }),
    )
    expect((lower.bayesian?.chance ?? 0) + (wide.bayesian?.chance ?? 0)).toBeCloseTo(1, 9)
  })

  test('covariates take out the variance that they explain, also of a ratio', () => {
    const correlation = 0.8
    const noise = Math.sqrt(1 - correlation ** 2)
    const random = createRandom(11)
    const units = (effect: number) =>
      Array.from({ length: 4000 }, () => {
        const x = random.normal()
        const weight = 1 + random.below(4)
        const y = 5 + effect + correlation * x + noise * random.normal()
        return { plain: [y, 1], adjusted: [y, 1, x, 0], ratio: [weight * y, weight, x, 0] }
      })
    const arms = [units(0), units(0.1)]
    const of = (kind: 'plain' | 'adjusted' | 'ratio', metric: MetricSpec) => {
      const result = analyzeExperiment(
        specOf([metric]),
        evidenceOf([metricEvidence(arms.map((arm) => arm.map((unit) => unit[kind])))]),
        null,
      )
      const { difference } = first(result)
      if (difference === null) throw new Error('no estimate')
      expect(difference.low <= 0.1 && difference.high >= 0.1).toBe(true)
      return { width: difference.high - difference.low, explained: result.metrics[0]?.explained }
    }
    const [plain, adjusted, ratio] = [of('plain', metricOf('mean')), of('adjusted', metricOf('mean')), of('ratio', metricOf('ratio'))]
    expect(plain.explained).toBeNull()
    // the standard error falls by √(1 - ρ²)
    expect(adjusted.width / plain.width).toBeCloseTo(noise, 1)
    expect(adjusted.explained).toBeCloseTo(correlation ** 2, 1)
    expect(ratio.explained).toBeGreaterThan(0.4)
    // a variant without traffic changes nothing for the others
    const spec = specOf([metricOf('mean')])
    const idle = { ...spec, variants: [...spec.variants, { name: 'idle', serves: 8, weight: 0 }] }
    const withIdle = evidenceOf([metricEvidence([...arms.map((arm) => arm.map(({ adjusted: unit }) => unit)), []])])
    const result = analyzeExperiment(idle, withIdle, null)
    const { low, high } = first(result).difference ?? { low: Number.NaN, high: Number.NaN }
    expect([high - low, result.metrics[0]?.explained]).toEqual([adjusted.width, adjusted.explained])
    expect(result.metrics[0]?.comparisons[1]?.state).toBe('not enough units')
  })

  test('a covariate that is the same for all units explains nothing', () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = createRandom(seed)
      const units = Array.from({ length: 2 * (30 + seed) }, () => [3 + 0.1 * random.normal(), 1, 7, 0])
      const sums = metricEvidence([units.slice(0, 30 + seed), units.slice(30 + seed)])
      const explained = analyzeExperiment(specOf([metricOf('mean')]), evidenceOf([sums]), null).metrics[0]?.explained
      expect(explained).toBeGreaterThanOrEqual(0)
      expect(explained).toBeLessThan(1e-9)
    }
  })

  test('guardrails pass or fail by their margin, in both directions and for quantiles', () => {
    const guardrail = (kind: Kind, better: 'higher' | 'lower', effect: number) => {
      const metric = metricOf(kind, { role: 'guardrail', margin: 0.05, better })
      return first(look(metric, drawArms(8000, draws[kind](effect), 3), 8000, null)).guardrail?.verdict
    }
    expect(guardrail('mean', 'higher', 0)).toBe('passes')
    expect(guardrail('mean', 'higher', -1.5)).toBe('fails')
    expect(guardrail('mean', 'higher', -0.5)).toBe('undecided')
    expect(guardrail('mean', 'lower', 1.5)).toBe('fails')
    expect(guardrail('mean', 'lower', -1)).toBe('passes')
    expect(guardrail('quantile', 'lower', 0.5)).toBe('fails')
    expect(guardrail('quantile', 'higher', 0.5)).toBe('passes')
  })

  test('corrections count metrics and treatments, and leave guardrails out', () => {
    const arms = drawArms(2000, draws.mean(0.35), 3)
    const metrics = [
      metricOf('mean', { name: 'a' }),
      metricOf('mean', { name: 'g', role: 'guardrail', margin: 0.01 }),
      ...['b', 'c'].map((name) => metricOf('mean', { name, role: 'secondary' })),
    ]
    const evidence = evidenceOf(metrics.map(() => metricEvidence(arms)))
    const result = analyzeExperiment(specOf(metrics, { correction: 'holm' }), evidence, null)
    const { p, adjustedP } = first(result)
    expect(adjustedP).toBeCloseTo(Math.min(1, 3 * (p ?? 1)), 12)
    // all three are the same, so e-BH takes none of them for the only one
    const bh = first(analyzeExperiment(specOf(metrics, { correction: 'bh' }), evidence, null))
    expect([bh.p, bh.adjustedP]).toEqual([p, expect.closeTo(1 / (bh.e ?? 0), 12)])
    expect(first(result, 1).adjustedP).toBeNull()
    expect(first(analyzeExperiment(specOf(metrics), evidence, null)).adjustedP).toBeNull()
  })

  test('slices share the level and show an effect that differs between groups', () => {
    const groups = [0, 0, 2].map((effect, i) => ({
      feature: 'country',
      value: `c${i}`,
      others: false,
      arms: metricEvidence(drawArms(1000, draws.mean(effect), 20 + i)).sums,
    }))
    const evidence = evidenceOf([metricEvidence(drawArms(3000, draws.mean(0.6), 3))], { slices: groups })
    const [slice] = analyzeExperiment(specOf([metricOf('mean')]), evidence, null).slices
    expect(slice?.heterogeneity[0]?.p).toBeLessThan(0.001)
    expect(slice?.groups.map(({ value, comparisons }) => [value, comparisons[0]?.significant])).toEqual([
      ['c0', false],
      ['c1', false],
      ['c2', true],
    ])
  })

  test('the split of each period counts by its place, so that more periods cause no more false alarms', () => {
    const metrics = [metricEvidence(drawArms(3000, meanDraw, 1))]
    const valueOf = (units: readonly (readonly number[])[]): number | null => {
      const allocation = { periods: units.map((_, i) => ({ from: i * day, shares: [0.5, 0.5] })), units }
      const { health } = analyzeExperiment(specOf([metricOf('mean')]), evidenceOf(metrics, { allocation }), null)
      return health.find(({ check }) => check === 'sample ratio')?.value ?? null
    }
    const [wrong, right, none] = [
      [300, 170],
      [250, 250],
      [0, 0],
    ] as const
    const p = sampleRatioP(wrong, [0.5, 0.5])
    expect(p).toBeLessThan(0.001)
    expect(valueOf([wrong])).toBeCloseTo(p * 2, 12)
    expect(valueOf([right, wrong, right])).toBeCloseTo(p * 6, 12)
    expect(valueOf([none, none, wrong, right])).toBeCloseTo(p * 12, 12)
    expect(valueOf([right, right])).toBe(1)
  })

  test('progress names units a day and days left from 7 days of exposures on', () => {
    const after = (newByDay: readonly number[], planned = 1000) => {
      const evidence = evidenceOf([metricEvidence(drawArms(100, meanDraw, 3))])
      const exposures = { ...evidence.exposures, newByDay }
      const { progress } = analyzeExperiment(specOf([metricOf('mean')], { units: planned }), { ...evidence, exposures }, null)
      return [progress.unitsByDay, progress.daysLeft]
    }
    expect(after([])).toEqual([null, null])
    expect(after([900, 500, 400, 300, 250, 200])).toEqual([null, null])
    // 800 units at 200 a day, as units that return are no longer new, and a day until the last are mature
    expect(after([900, 500, 400, 300, 250, 220, 180])).toEqual([200, 5])
    expect(after([400], 200)).toEqual([null, 0])
  })

  test('health counts mature units that have no value of the primary metric as mature', () => {
    const maturity = (valued: number, immature: number, all: number, guard = 0) => {
      const metric = { ...metricEvidence(drawArms(valued, meanDraw, 3)), immature: [immature, immature] }
      const summers = [createUnitSummer(2), createUnitSummer(2)]
      for (const summer of summers) for (let i = 0; i < all; i++) summer.add([0, 0])
      const covariates = { names: [], arms: summers.map((summer) => summer.sums()) }
      const metrics = [metricOf('mean'), { ...metricOf('mean'), name: 'guard', role: 'guardrail' as const }]
      const evidence = evidenceOf([metric, { ...metric, immature: [guard, guard] }], { covariates })
      const { health, progress } = analyzeExperiment(specOf(metrics), evidence, null)
      const { state, text } = health.find(({ check }) => check === 'maturity') ?? {}
      return [state, text, progress.immatureShare]
    }
    expect(maturity(0, 0, 50)).toEqual(['unknown', 'All units are mature; 100 of 100 have no value of the primary metric.', 0])
    expect(maturity(20, 10, 40)).toEqual([
      'ok',
      '75 % of the units are mature; 20 of 60 have no value of the primary metric. The others count later.',
      0.25,
    ])
    expect(maturity(40, 0, 40)).toEqual(['ok', 'All units are mature.', 0])
    expect(maturity(40, 0, 40, 7)).toEqual([
      'ok',
      'All units are mature for the primary metric. Units that count later in other metrics: 14 of "guard".',
      0,
    ])
    expect(maturity(0, 40, 40)).toEqual(['unknown', 'No unit is mature yet: the window of the primary metric has to pass.', 1])
  })

  test('health finds a wrong split, crossovers, lost exposures and covariates that differ', () => {
    const metrics = [metricEvidence(drawArms(3000, meanDraw, 1))]
    const state = (more: Partial<ExperimentEvidence>) =>
      Object.fromEntries(
        analyzeExperiment(specOf([metricOf('mean')]), evidenceOf(metrics, more), null).health.map((each) => [each.check, each.state]),
      )
    const counts = evidenceOf(metrics).exposures
    const covariates = (shift: number) => ({
      names: ['age'],
      arms: metricEvidence(drawArms(3000, (random, arm) => [random.normal() + shift * arm, 0], 9)).sums,
    })
    expect(state({ covariates: covariates(0) })).toEqual({
      'sample ratio': 'ok',
      crossovers: 'ok',
      'lost exposures': 'ok',
      'covariate balance': 'ok',
      'stable effect': 'ok',
      maturity: 'ok',
    })
    expect(state({ exposures: { ...counts, units: [3300, 2700] } })['sample ratio']).toBe('failing')
    expect(state({ exposures: { ...counts, crossovers: 100 } })['crossovers']).toBe('failing')
    expect(state({ exposures: { ...counts, lost: 3, unclosed: 1 } })['lost exposures']).toBe('warning')
    expect(state({ exposures: { ...counts, lost: 3, unclosed: 1, rebuilt: 3 } })['lost exposures']).toBe('warning')
    expect(state({ exposures: { ...counts, lost: 3, rebuilt: 2 } })['lost exposures']).toBe('warning')
    expect(state({ exposures: { ...counts, lost: 3, rebuilt: 3 } })['lost exposures']).toBe('ok')
    expect(state({ covariates: covariates(0.3) })['covariate balance']).toBe('failing')
    // one unit in 500 has all of it: at 90/10 the sequence does not hold yet
    const rare = metricEvidence([2700, 300].map((n) => Array.from({ length: n }, (_, i) => [i % 500 === 7 ? 1000 : 0, 0]))).sums
    expect(rare[0]?.cubes[0]).toBeCloseTo(rare[0]?.third[0] ?? 0, -3)
    expect(state({ covariates: { names: ['spent'], arms: rare } })['covariate balance']).toBe('unknown')
  })

  test('show small shares, and shares of almost all, with the decimals that they need', () => {
    const spec = specOf([metricOf('mean')])
    const [control, treatment] = [
      { ...spec.variants[0], weight: 0.9999 },
      { ...spec.variants[1], weight: 0.0001 },
    ]
    const evidence = evidenceOf([metricEvidence(drawArms(1000, (random) => [random.normal(), 0], 4))])
    const split = { ...evidence, exposures: { ...evidence.exposures, units: [79_992, 8] } }
    const variants = [control, treatment] as ExperimentSpec['variants']
    expect(analyzeExperiment({ ...spec, variants }, split, null).health[0]?.text).toBe(
      'The units are split as planned: control 99.99 % (planned 99.99 %), treatment 0.01 % (planned 0.01 %).',
    )
  })
})
