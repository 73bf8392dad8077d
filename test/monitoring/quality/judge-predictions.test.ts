import { describe, expect, it } from 'vitest'
import { createJudge } from '../../../monitoring/quality/judge.ts'
import type { JudgedGroup, JudgedPredictions, JudgeLimits, OutcomeOfPrediction } from '../../../monitoring/quality/judge-predictions.ts'
import { createPredictionJudge } from '../../../monitoring/quality/judge-predictions.ts'
import { parseSplit } from '../../../monitoring/quality/slices.ts'
import type { Column, ColumnType } from '../../../kernel/values/value-type.ts'
import { createRandom } from '../../../statistics/random.ts'

const probability = { name: 'probability', type: { kind: 'float32' } } as const
const dayMicros = 86_400_000_000

function row(values: Partial<OutcomeOfPrediction>): OutcomeOfPrediction {
  return {
    at: 0,
    version: 1,
    role: 'champion',
    entity: 0,
    output: 0.5,
    columns: {},
    outcome: true,
    matched: true,
    mature: true,
    amounts: [],
    ...values,
  }
}

interface Setup {
  readonly by?: readonly string[]
  readonly outcome?: ColumnType
  readonly output?: Column
  readonly threshold?: number
  readonly limits?: JudgeLimits
}

const slices = {
  size: { column: 'amount', at: [100, 500] },
  region: { column: 'country', values: { europe: ['DE', 'FR'], home: ['US'] } },
}
const plenty: JudgeLimits = { total: 1e6, group: 1e6, estimate: 20_000, curve: 0 }

async function judged(
  rows: readonly OutcomeOfPrediction[],
  { by = [], outcome = { kind: 'bool' }, output = probability, threshold = 0.5, limits = plenty }: Setup = {},
): Promise<JudgedPredictions> {
  const first = rows.map((each) => each.outcome).filter((value) => value !== null)
  const judge = createJudge({ model: 'fraud', output, outcomeType: outcome, threshold, first })
  const all = createPredictionJudge({ judge, by: by.map((text) => parseSplit(text, slices)), first: rows, limits })
  for (const each of rows) all.add(each)
  return await all.finish()
}

/** Calibrated scores of payments: a card has a risk of its own, and pays often. */
function payments(n: number, cards = n): OutcomeOfPrediction[] {
  const random = createRandom(n + cards)
  const risks = Array.from({ length: cards }, () => random.next())
  return Array.from({ length: n }, (_, i) => {
    const card = random.below(cards)
    const output = Math.round(((risks[card] as number) + random.next()) * 50) / 100
    return row({
      at: i * (dayMicros / 100),
      version: 1 + (i % 2),
      entity: card,
      output,
      columns: { country: ['CH', 'DE', null][i % 3], amount: random.below(1000) },
      outcome: random.next() < output,
    })
  })
}

const value = (group: JudgedGroup, name: string): number => group.figures[name]?.value ?? Number.NaN

/** The figures as their definitions say, pair by pair and row by row. */
function naive(rows: readonly OutcomeOfPrediction[], threshold: number) {
  const scores = rows.map(({ output }) => Number(output))
  const labels = rows.map(({ outcome }) => outcome === true)
  const count = (of: (score: number, label: boolean) => boolean) => scores.filter((score, i) => of(score, labels[i] === true)).length
  const mean = (of: (score: number, label: boolean) => number) =>
    scores.reduce((sum, score, i) => sum + of(score, labels[i] === true), 0) / scores.length
  let [better, pairs] = [0, 0]
  for (const [i, score] of scores.entries()) {
    for (const [j, other] of scores.entries()) {
      if (labels[i] !== true || labels[j] === true) continue
      pairs++
      better += score > other ? 1 : score === other ? 0.5 : 0
    }
  }
  const tp = count((score, label) => score >= threshold && label)
  const fp = count((score, label) => score >= threshold && !label)
  const fn = count((score, label) => score < threshold && label)
  return {
    auc: better / pairs,
    logLoss: mean((score, label) => -Math.log(Math.max(2 ** -52, label ? score : 1 - score))),
    brier: mean((score, label) => (score - Number(label)) ** 2),
    accuracy: mean((score, label) => Number(score >= threshold === label)),
    precision: tp / (tp + fp),
    recall: tp / (tp + fn),
    f1: (2 * tp) / (2 * tp + fp + fn),
    positives: mean((_, label) => Number(label)),
  }
}

describe('figures of a classifier', () => {
  it('lets other work of the process run while it finishes 300,000 rows', async () => {
    const judge = createJudge({ model: 'fraud', output: probability, outcomeType: { kind: 'bool' }, threshold: 0.5, first: [] })
    const { add, finish } = createPredictionJudge({ judge, by: [], first: [], limits: { ...plenty, curve: 1000 } })
    const random = createRandom(3)
    for (let entity = 0; entity < 300_000; entity++) add(row({ entity, output: random.next(), outcome: random.next() < 0.5 }))
    let turns = 0
    let isDone = false
    const count = (): void => {
      turns++
      if (!isDone) setImmediate(count)
    }
    setImmediate(count)
    const { total } = await finish()
    isDone = true
    expect(total.figures['auc']?.n).toBe(300_000)
    // sorting them at once, it had two
    expect(turns).toBeGreaterThan(20)
  })

  it.each([0.5, 0.3, 0.8])('are those of their definitions at the threshold %s, in all and by slice', async (threshold) => {
    const rows = payments(600, 40)
    const { total, groups } = await judged(rows, { threshold, by: ['version', 'country'] })
    for (const [name, expected] of Object.entries(naive(rows, threshold))) expect(value(total, name), name).toBeCloseTo(expected, 10)
    expect(groups.map(({ by }) => by)).toEqual(
      ['1', '2'].flatMap((version) => ['CH', 'DE', 'null'].map((country) => ({ version, country }))),
    )
    for (const group of groups) {
      const { version, country } = group.by
      const own = rows.filter((each) => String(each.version) === version && String(each.columns['country']) === country)
      for (const [name, expected] of Object.entries(naive(own, threshold))) expect(value(group, name), name).toBeCloseTo(expected, 10)
      expect(group.judged).toBe(own.length)
    }
  })

  it('have wider intervals where rows of one entity repeat', async () => {
    const [alone, repeated] = [(await judged(payments(2000))).total, (await judged(payments(2000, 30))).total]
    const width = (group: JudgedGroup): number => (group.figures['positives']?.high ?? 0) - (group.figures['positives']?.low ?? 0)
    expect(repeated.figures['positives']?.interval).toBe('entities')
    expect(repeated.entities).toBe(30)
    expect(width(repeated)).toBeGreaterThan(2 * width(alone))
    expect(repeated.figures['auc']?.interval).toBe('entities')
    expect(repeated.figures['calibrationError']?.interval).toBe('entities')
  })

  it('cover the share of positives of all cards in 95 of 100 samples', async () => {
    let covered = 0
    for (let i = 0; i < 200; i++) {
      const { low, high } = (await judged(payments(300 + i, 40))).total.figures['positives'] ?? {}
      if ((low ?? 1) <= 0.5 && (high ?? 0) >= 0.5) covered++
    }
    expect(covered).toBeGreaterThan(180)
    expect(covered).toBeLessThan(200)
  })

  it('have no AUC where all outcomes are the same, and say why', async () => {
    const { total } = await judged(payments(100).map((each) => ({ ...each, outcome: false })))
    expect(total.figures['auc']).toMatchObject({ value: null, reason: 'all 100 outcomes are negative, and both kinds are needed' })
    expect(total.figures['recall']).toMatchObject({ value: null, reason: 'no outcome is positive' })
    expect(total.figures['logLoss']?.value).toBeGreaterThan(0)
  })

  it('are not given for fewer than 30 rows', async () => {
    const { total } = await judged(payments(29))
    expect(total.calibration).toBeNull()
    for (const figure of Object.values(total.figures))
      expect(figure).toMatchObject({ value: null, low: null, n: 29, reason: '29 mature predictions have an outcome, and 30 are needed' })
  })

  it('have intervals between 0 and 1 where few decisions are right', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => row({ at: i, entity: i, output: i < 2 ? 0.9 : 0.1, outcome: i === 0 || i > 40 }))
    const { f1, brier } = (await judged(rows)).total.figures
    expect(f1?.low).toBe(0)
    expect(brier?.high).toBeLessThanOrEqual(1)
  })

  it('take scores beyond 0 and 1 for no probabilities', async () => {
    const { total } = await judged(
      payments(200).map((each) => ({ ...each, output: Number(each.output) * 10 - 5 })),
      { threshold: 0 },
    )
    expect(total.figures['brier']).toMatchObject({ value: null, reason: 'scores are not within 0 and 1' })
    expect(value(total, 'auc')).toBeGreaterThan(0.6)
  })

  it('judge the second of two probabilities, and a decision by its counts alone', async () => {
    const rows = payments(300)
    const pairs = rows.map((each) => ({ ...each, output: [1 - Number(each.output), each.output] }))
    const vector = { name: 'probabilities', type: { kind: 'vector', length: 2 } } as const
    expect((await judged(pairs, { output: vector })).total.figures).toEqual((await judged(rows)).total.figures)
    const label = { name: 'label', type: { kind: 'int64' } } as const
    const { figures } = (
      await judged(
        rows.map((each) => ({ ...each, output: Number(each.output) >= 0.5 ? '1' : '0' })),
        { output: label },
      )
    ).total
    expect(figures['accuracy']).toEqual((await judged(rows)).total.figures['accuracy'])
    expect(figures['calibrationError']?.reason).toBe('the output is a decision, and no probability')
  })

  it('sample scores beyond a limit, and sums take all rows', async () => {
    const rows = payments(3000)
    const { total } = await judged(rows, { limits: { ...plenty, total: 1000 } })
    expect(total.figures['auc']?.n).toBe(1000)
    expect(total.figures['brier']?.n).toBe(3000)
    const whole = (await judged(rows)).total.figures['auc']
    expect(total.figures['auc']?.low).toBeLessThan(whole?.value ?? 0)
    expect(total.figures['auc']?.high).toBeGreaterThan(whole?.value ?? 1)
  })

  it('have a rising curve whose steps have all rows', async () => {
    const { calibration } = (await judged(payments(1000), { limits: { ...plenty, curve: 1000 } })).total
    const { steps = [], n } = calibration?.curve ?? {}
    expect(steps.map(({ share }) => share)).toEqual(steps.map(({ share }) => share).toSorted((a, b) => a - b))
    expect(steps.reduce((sum, { rows }) => sum + rows, 0)).toBe(n)
    expect(calibration?.error.low).toBeLessThan(0.03)
    const shifted = (await judged(payments(1000).map((each) => ({ ...each, output: Number(each.output) * 0.5 })))).total.calibration
    expect(shifted?.error.low).toBeGreaterThan(0.15)
  })
})

describe('figures of numbers and classes', () => {
  it('are those of their definitions', async () => {
    const random = createRandom(3)
    const rows = Array.from({ length: 200 }, (_, entity) =>
      row({ entity, output: random.normal() * 10, outcome: random.normal() * 10 + 1 }),
    )
    const errors = rows.map(({ output, outcome }) => Number(output) - Number(outcome))
    const mean = (of: (error: number) => number): number => errors.reduce((sum, error) => sum + of(error), 0) / errors.length
    const { total } = await judged(rows, { outcome: { kind: 'float64' } })
    expect(value(total, 'rmse')).toBeCloseTo(Math.sqrt(mean((error) => error * error)), 10)
    expect(value(total, 'mae')).toBeCloseTo(mean(Math.abs), 10)
    expect(value(total, 'bias')).toBeCloseTo(
      mean((error) => error),
      10,
    )
    const classes = rows.map((each, i) => ({ ...each, output: 'abc'[i % 3], outcome: 'ab'[i % 2] }))
    const text = { name: 'kind', type: { kind: 'string' } } as const
    expect(value((await judged(classes, { outcome: { kind: 'string' }, output: text })).total, 'accuracy')).toBeCloseTo(68 / 200, 10)
  })

  it('take numbers that are all 0 or 1 for no and yes', async () => {
    const rows = payments(100).map((each) => ({ ...each, outcome: each.outcome === true ? 1n : 0n }))
    expect((await judged(rows, { outcome: { kind: 'int64' } })).total.figures).toEqual((await judged(payments(100))).total.figures)
  })

  it('refuse an output that the outcome cannot judge', async () => {
    await expect(judged([row({})], { outcome: { kind: 'string' } })).rejects.toThrow(
      'The output "probability" of model "fraud" is a float32, and its outcome a string; name another output.',
    )
  })
})

describe('counts', () => {
  it('keep apart what is immature, without outcome, and unreadable', async () => {
    const rows = [
      ...payments(40),
      row({ mature: false, outcome: null }),
      row({ outcome: null }),
      row({ outcome: null }),
      row({ output: Number.NaN }),
      row({ output: null }),
    ]
    expect((await judged(rows)).total).toMatchObject({ predictions: 45, judged: 40, immature: 1, withoutOutcome: 2, unreadable: 2 })
  })
})

describe('shadow predictions', () => {
  it('are in groups by role, and not in the total', async () => {
    const rows = payments(200).map((each, i) => ({ ...each, role: i % 4 === 0 ? 'shadow' : 'champion' }))
    const { total, shadow, groups } = await judged(rows, { by: ['role'] })
    expect([total.judged, shadow]).toEqual([150, 50])
    expect(groups.map(({ by, judged: n }) => [by['role'], n])).toEqual([
      ['champion', 150],
      ['shadow', 50],
    ])
    expect((await judged(rows, { by: ['country'] })).groups.reduce((sum, { judged: n }) => sum + n, 0)).toBe(150)
  })
})

describe('slices', () => {
  it('are days, bins with given edges, and bins of equal mass of a number with many values', async () => {
    const rows = payments(500)
    const labels = async (by: string): Promise<(string | undefined)[]> =>
      (await judged(rows, { by: [by] })).groups.map((group) => group.by[by.split(':')[0] ?? ''])
    expect(await labels('day')).toEqual(['1970-01-01', '1970-01-02', '1970-01-03', '1970-01-04', '1970-01-05'])
    expect(await labels('amount:100|500')).toEqual(['<= 100', '100 to 500', '> 500'])
    const { groups } = await judged(rows, { by: ['amount'] })
    expect(groups).toHaveLength(5)
    for (const { judged: n } of groups) expect(Math.abs(n - 100)).toBeLessThan(10)
  })

  it('are bins and groups of values that are declared, and what is in no group', async () => {
    const countries = ['DE', 'FR', 'US', 'JP', null]
    const rows = Array.from({ length: 500 }, (_, i) => row({ columns: { amount: i + 1, country: countries[i % 5] } }))
    const parts = async (by: string) => (await judged(rows, { by: [by] })).groups.map((group) => [group.by[by], group.judged])
    expect(await parts('size')).toEqual([
      ['<= 100', 100],
      ['100 to 500', 400],
    ])
    expect(await parts('region')).toEqual([
      ['(other)', 200],
      ['europe', 200],
      ['home', 100],
    ])
  })

  it('are counted together beyond 200', async () => {
    const rows = Array.from({ length: 500 }, (_, card) => row({ columns: { card: `c${card}` } }))
    const { groups, isFull } = await judged(rows, { by: ['card'] })
    expect(groups).toHaveLength(201)
    expect(groups.find(({ by }) => by['card'] === '(other)')?.judged).toBe(300)
    expect(isFull).toBe(true)
  })

  it.each(['amount:10|5', 'amount:x', 'amount:1:2', ':1', 'amount:'])('are not read from "%s"', async (text) => {
    expect(() => parseSplit(text)).toThrow(`Figures cannot be split by "${text}"`)
  })
})

describe('estimates without labels', () => {
  it('hold the truth under a shift of the scores, and flag labels that mean something else', async () => {
    const random = createRandom(8)
    const draw = (mature: boolean, i: number, score: number, flipped = false) => {
      const isPositive = random.next() < score
      return { ...row({ at: i, entity: i, output: score, mature, outcome: mature ? isPositive !== flipped : null }), truth: isPositive }
    }
    const labelled = Array.from({ length: 3000 }, (_, i) => draw(true, i, random.next()))
    const coming = Array.from({ length: 3000 }, (_, i) => draw(false, 3000 + i, random.next() ** 3))
    const [estimate] = (await judged([...labelled, ...coming])).estimates
    const truth = naive(
      coming.map((each) => ({ ...each, outcome: each.truth })),
      0.5,
    )
    expect(estimate).toMatchObject({ version: 1, n: 3000, labelled: 3000, reliable: true, reason: null })
    for (const name of ['accuracy', 'precision', 'recall', 'f1', 'auc'] as const) {
      const { value: estimated, low, high } = estimate?.figures?.[name] ?? {}
      expect(low).toBeLessThan(truth[name])
      expect(high).toBeGreaterThan(truth[name])
      expect(Math.abs((estimated ?? 0) - truth[name]), name).toBeLessThan(0.04)
    }
    const changed = labelled.map((each, i) => (i < 2700 ? each : draw(true, i, Number(each.output), true)))
    const [flagged] = (await judged([...changed, ...coming])).estimates
    expect(flagged?.reliable).toBe(false)
    expect(flagged?.reason).toMatch(/^the newest labels differ by \d\d\.\d % from what earlier ones let expect \(p /)
    expect(flagged?.check?.p).toBeLessThan(1e-6)
  })

  it('have no precision and no F1 where no score reaches the threshold', async () => {
    const coming = Array.from({ length: 50 }, () => row({ mature: false, outcome: null, output: 0.1 }))
    const { precision, f1, recall } = (await judged([...payments(1000), ...coming])).estimates[0]?.figures ?? {}
    for (const figure of [precision, f1]) expect(figure).toMatchObject({ value: null, reason: 'no score reaches the threshold 0.5' })
    expect(recall?.value).toBe(0)
  })

  it('need labels of both kinds', async () => {
    const coming = Array.from({ length: 50 }, () => row({ mature: false, outcome: null }))
    expect((await judged([...payments(100), ...coming])).estimates.map(({ version, reason }) => [version, reason])).toEqual([
      [1, '50 mature predictions have an outcome, and 200 are needed to calibrate scores'],
    ])
  })

  it('seldom flag where nothing changes', async () => {
    let flagged = 0
    for (let i = 0; i < 30; i++)
      if ((await judged([...payments(1000 + i), row({ mature: false, outcome: null, version: 2 })])).estimates[0]?.reliable === false)
        flagged++
    expect(flagged).toBeLessThan(3)
  })
})
