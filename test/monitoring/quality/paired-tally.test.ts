import { describe, expect, it } from 'vitest'
import { createJudge } from '../../../monitoring/quality/judge.ts'
import type { PairedRow } from '../../../monitoring/quality/paired-tally.ts'
import { createPairedTally } from '../../../monitoring/quality/paired-tally.ts'
import type { ColumnType } from '../../../kernel/values/value-type.ts'
import { criticalValue } from '../../../statistics/interval.ts'
import { createRandom } from '../../../statistics/random.ts'

type Kind = 'bool' | 'float64' | 'string'

function judgeOf(kind: Kind) {
  const output: ColumnType = kind === 'string' ? { kind } : { kind: 'float32' }
  return createJudge({
    model: 'fraud',
    output: { name: 'score', type: output },
    outcomeType: { kind },
    threshold: 0.5,
    first: kind === 'float64' ? [0.5] : [],
  })
}

async function differences(kind: Kind, rows: readonly PairedRow[]) {
  const tally = createPairedTally(judgeOf(kind), 1e6)
  for (const row of rows) tally.add(row)
  return await tally.finish()
}

/** Rows of entities that repeat, each with errors of its own; the second version has more noise. */
function drawn(n: number, entities: number): PairedRow[] {
  const random = createRandom(n)
  const risks = Array.from({ length: entities }, () => random.next())
  return Array.from({ length: n }, (_, i) => {
    const entity = i % entities
    const risk = ((risks[entity] ?? 0) + random.next()) / 2
    const outcome = random.next() < risk ? 1 : 0
    return { entity, score: 0.8 * risk + 0.2 * random.next(), against: 0.5 * risk + 0.5 * random.next(), outcome }
  })
}

type Pick = (row: PairedRow) => number
const sum = (rows: readonly PairedRow[], of: Pick) => rows.reduce((total, row) => total + of(row), 0)
const one: Pick = () => 1
const label: Pick = ({ outcome }) => Number(outcome)
const decision =
  (of: 'score' | 'against'): Pick =>
  (row) =>
    Number(row[of]) >= 0.5 ? 1 : 0
const hit =
  (of: 'score' | 'against'): Pick =>
  (row) =>
    decision(of)(row) * label(row)
const error =
  (of: 'score' | 'against'): Pick =>
  (row) =>
    Number(row[of]) - label(row)
const surprise =
  (of: 'score' | 'against'): Pick =>
  (row) =>
    -Math.log(label(row) === 1 ? Number(row[of]) : 1 - Number(row[of]))
const both = (figure: (rows: readonly PairedRow[], of: 'score' | 'against') => number) => (rows: readonly PairedRow[]) =>
  figure(rows, 'score') - figure(rows, 'against')

const figures = {
  accuracy: both((rows, of) => sum(rows, (row) => (decision(of)(row) === label(row) ? 1 : 0)) / sum(rows, one)),
  brier: both((rows, of) => sum(rows, (row) => error(of)(row) ** 2) / sum(rows, one)),
  logLoss: both((rows, of) => sum(rows, surprise(of)) / sum(rows, one)),
  precision: both((rows, of) => sum(rows, hit(of)) / sum(rows, decision(of))),
  recall: both((rows, of) => sum(rows, hit(of)) / sum(rows, label)),
  f1: both((rows, of) => (2 * sum(rows, hit(of))) / (sum(rows, decision(of)) + sum(rows, label))),
  rmse: both((rows, of) => Math.sqrt(sum(rows, (row) => error(of)(row) ** 2) / sum(rows, one))),
  mae: both((rows, of) => sum(rows, (row) => Math.abs(error(of)(row))) / sum(rows, one)),
}

/** The standard error by leaving out one entity after the other. */
function jackknife(rows: readonly PairedRow[], figure: (rows: readonly PairedRow[]) => number): number {
  const left = [...Map.groupBy(rows, ({ entity }) => entity).keys()].map((entity) => figure(rows.filter((row) => row.entity !== entity)))
  const mean = left.reduce((total, value) => total + value, 0) / left.length
  return Math.sqrt(((left.length - 1) / left.length) * left.reduce((total, value) => total + (value - mean) ** 2, 0))
}

describe('the differences of two versions', () => {
  it.each([
    ['entities', 60],
    ['rows', 600],
  ])('have the values of sums, and intervals by %s as the jackknife gives them', async (interval, entities) => {
    const rows = drawn(600, entities)
    const found = { ...(await differences('bool', rows)), ...(await differences('float64', rows)) }
    for (const [name, figure] of Object.entries(figures)) {
      const { value, low, high, ...rest } = found[name] ?? { value: null, low: null, high: null }
      expect(value, name).toBeCloseTo(figure(rows), 12)
      const half = criticalValue(0.05) * jackknife(rows, figure)
      expect(Math.abs(((high ?? 0) - (low ?? 0)) / 2 / half - 1), name).toBeLessThan(0.03)
      expect(rest, name).toMatchObject({ n: 600, interval, reason: null })
    }
    expect(found['auc']?.value).toBeGreaterThan(0)
  })

  it('are better or worse only where the interval leaves 0 out, and less is better for errors', async () => {
    const rows = drawn(600, 60)
    const verdicts = { ...(await differences('bool', rows)), ...(await differences('float64', rows)) }
    expect([verdicts['auc']?.verdict, verdicts['brier']?.verdict, verdicts['rmse']?.verdict]).toEqual(['better', 'better', 'better'])
    const swapped = rows.map((row) => ({ ...row, score: row.against, against: row.score }))
    const against = { ...(await differences('bool', swapped)), ...(await differences('float64', swapped)) }
    expect([against['auc']?.verdict, against['brier']?.verdict, against['rmse']?.verdict]).toEqual(['worse', 'worse', 'worse'])
    expect((await differences('bool', drawn(40, 40)))['recall']?.verdict).toBe('unclear')
  })

  it('of classes are those of accuracy', async () => {
    const rows = drawn(600, 600).map((row) => ({ ...row, outcome: 'b', score: Number(row.score) > 0.3 ? 'b' : 'a', against: 'a' }))
    const share = rows.filter(({ score }) => score === 'b').length / 600
    expect(await differences('string', rows)).toMatchObject({ accuracy: { value: share, verdict: 'better' } })
  })

  it('have a reason in place of a value where they cannot be computed', async () => {
    const positive = drawn(100, 100).map((row) => ({ ...row, outcome: 1 }))
    expect((await differences('bool', positive))['auc']).toMatchObject({
      value: null,
      verdict: 'unclear',
      reason: 'all 100 labels are positive, and both kinds are needed',
    })
    const beyond = drawn(100, 100).map((row) => ({ ...row, against: Number(row.against) + 2 }))
    expect((await differences('bool', beyond))['logLoss']?.reason).toBe('scores are not within 0 and 1')
    const silent = drawn(100, 100).map((row) => ({ ...row, against: 0 }))
    expect((await differences('bool', silent))['precision']).toMatchObject({ value: null, reason: 'it cannot be computed of these rows' })
    expect((await differences('float64', drawn(29, 29)))['mae']?.reason).toBe(
      '29 rows have a label and a prediction of both versions, and 30 are needed',
    )
  })
})
