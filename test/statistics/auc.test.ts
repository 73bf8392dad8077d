import { describe, expect, it } from 'vitest'
import { auc, aucDifference } from '../../statistics/auc.ts'
import { normalQuantile, studentQuantile } from '../../statistics/distributions.ts'
import { createRandom } from '../../statistics/random.ts'

/** Scores of two versions with ties: both see the same signal, and the second one more of it. */
function drawn(n: number, seed: number) {
  const random = createRandom(seed)
  const labels = Array.from({ length: n }, () => random.next() < 0.3)
  const shared = labels.map((label) => (label ? 0.6 : 0) + random.next())
  const first = shared.map((signal) => Math.round((signal + random.next()) * 10) / 10)
  const second = shared.map((signal) => Math.round((signal + 0.3 * random.next()) * 10) / 10)
  return { labels, first, second }
}

/** DeLong's covariance matrix of two areas by all pairs of a positive and a negative row. */
function byPairs({ labels, first, second }: ReturnType<typeof drawn>) {
  const rows = labels.map((label, i) => ({ label, scores: [first[i] ?? 0, second[i] ?? 0] }))
  const [positives, negatives] = [rows.filter(({ label }) => label), rows.filter(({ label }) => !label)]
  const beats = (v: number, x: { scores: number[] }, y: { scores: number[] }) => {
    const [a, b] = [x.scores[v] ?? 0, y.scores[v] ?? 0]
    return a > b ? 1 : a === b ? 0.5 : 0
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const areas = [0, 1].map((v) => mean(positives.flatMap((x) => negatives.map((y) => beats(v, x, y))))) as [number, number]
  const covariance = (components: readonly (readonly number[])[], a: 0 | 1, b: 0 | 1) => {
    const [left, right] = [components[a] ?? [], components[b] ?? []]
    return left.reduce((sum, value, i) => sum + (value - areas[a]) * ((right[i] ?? 0) - areas[b]), 0) / (left.length - 1)
  }
  const ofPositives = [0, 1].map((v) => positives.map((x) => mean(negatives.map((y) => beats(v, x, y)))))
  const ofNegatives = [0, 1].map((v) => negatives.map((y) => mean(positives.map((x) => beats(v, x, y)))))
  const entry = (a: 0 | 1, b: 0 | 1) => covariance(ofPositives, a, b) / positives.length + covariance(ofNegatives, a, b) / negatives.length
  return { value: areas[0] - areas[1], error: Math.sqrt(entry(0, 0) + entry(1, 1) - 2 * entry(0, 1)) }
}

describe('auc', () => {
  it.each([
    [2, 2],
    [1, 29],
    [200, 200],
  ])('of a perfect ranking of %i positives and %i negatives has an interval', (positives, negatives) => {
    const scores = Array.from({ length: positives + negatives }, (_, i) => i)
    const best = auc(
      scores,
      scores.map((i) => i >= negatives),
    )
    const worst = auc(
      scores,
      scores.map((i) => i < positives),
    )
    expect(best).toMatchObject({ value: 1, high: 1 })
    expect(best.low).toBeGreaterThan(0)
    expect(best.low).toBeLessThan(1 - 1 / Math.max(positives, negatives))
    expect(worst).toMatchObject({ value: 0, low: 0 })
    expect(worst.high).toBeCloseTo(1 - best.low, 12)
  })

  it.each([
    ['of the same size', () => 10],
    ['of which one has most rows', (entity: number) => Math.ceil(100 / (entity + 1))],
  ])('covers the area where rows belong to entities %s', (_, rowsOf) => {
    const random = createRandom(21)
    const draw = (entities: number) =>
      Array.from({ length: entities }, (_unused, entity) => {
        const own = random.normal()
        const label = random.next() < 1 / (1 + Math.exp(-1.5 * own))
        return Array.from({ length: rowsOf(entity) }, () => ({ entity, label, score: own + 0.5 * random.normal() }))
      }).flat()
    // of two entities with different labels: which one is greater
    const large = Array.from({ length: 10_000 }, () => draw(1)[0]).flatMap((row) => (row === undefined ? [] : [row]))
    const areaOf = (rows: typeof large, entities?: readonly number[]) =>
      auc(
        rows.map(({ score }) => score),
        rows.map(({ label }) => label),
        { entities },
      )
    const truth = areaOf(large).value
    let [covered, byRow] = [0, 0]
    const runs = 100
    for (let run = 0; run < runs; run++) {
      const rows = draw(40)
      const [clustered, plain] = [
        areaOf(
          rows,
          rows.map(({ entity }) => entity),
        ),
        areaOf(rows),
      ]
      if (clustered.low <= truth && truth <= clustered.high) covered++
      if (plain.low <= truth && truth <= plain.high) byRow++
    }
    expect(covered / runs).toBeGreaterThan(0.88)
    expect(byRow / runs).toBeLessThan(0.7)
  })

  it('has no interval where one entity has all positives, whatever the rounding', () => {
    for (let positives = 2; positives < 60; positives++) {
      const labels = Array.from({ length: positives + 20 }, (_, i) => i < positives)
      const scores = labels.map((_, i) => (i * 7) % 13)
      const entities = labels.map((label, i) => (label ? 0 : 1 + (i % 5)))
      expect(auc(scores, labels, { entities })).toMatchObject({ low: Number.NaN, high: Number.NaN })
    }
  })
})

describe('aucDifference', () => {
  it.each([12, 30, 400])('of %i rows has the variance of DeLong over all pairs', (n) => {
    const rows = drawn(n, n)
    const { value, low, high } = aucDifference(rows.first, rows.second, rows.labels)
    const expected = byPairs(rows)
    const positives = rows.labels.filter(Boolean).length
    const fewer = Math.min(positives, n - positives)
    expect(value).toBeCloseTo(expected.value, 12)
    expect(value).toBeCloseTo(auc(rows.first, rows.labels).value - auc(rows.second, rows.labels).value, 12)
    expect((high - low) / 2).toBeCloseTo(studentQuantile(0.975, fewer - 1) * expected.error, 12)
  })

  it('is narrower than that of areas over other rows, because the rows are the same', () => {
    const { labels, first, second } = drawn(400, 400)
    const [a, b] = [auc(first, labels), auc(second, labels)]
    const { low, high } = aucDifference(first, second, labels)
    expect((high - low) / 2).toBeLessThan(normalQuantile(0.975) * Math.hypot(a.standardError, b.standardError) * 0.9)
  })

  it('covers the true difference about as often as it says', () => {
    // both versions are equally good, so the true difference is 0
    const runs = 400
    let covered = 0
    for (let seed = 1; seed <= runs; seed++) {
      const random = createRandom(seed)
      const labels = Array.from({ length: 120 }, () => random.next() < 0.4)
      const shared = labels.map((label) => (label ? 0.5 : 0) + random.next())
      const [first, second] = [0, 1].map(() => shared.map((signal) => signal + random.next())) as [number[], number[]]
      const { low, high } = aucDifference(first, second, labels)
      if (low <= 0 && high >= 0) covered++
    }
    expect(covered / runs).toBeGreaterThan(0.92)
    expect(covered / runs).toBeLessThan(0.98)
  })
})
