import { describe, expect, it } from 'vitest'
import { entityKinds, lookAtFewEntities } from '../../../bench/rollout/few-entities.ts'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import { createBusinessTally } from '../../../monitoring/quality/business-tally.ts'
import { createClassifierTally } from '../../../monitoring/quality/classifier-tally.ts'
import type { Figure } from '../../../monitoring/quality/figure.ts'
import { gateDifference, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import { sideFigure } from '../../../monitoring/rollouts/gates/quality.ts'
import { gate } from '../../../registry/rollouts/plan-schema.ts'

const spec = gate({ kind: 'business', figure: 'profit', better: 'higher', margin: 0, samples: 200 })

/** A version whose rows are `rowsOf` by entity, around a profit. */
function profitOf(rowsOf: readonly number[], profit: number): Figure {
  const tally = createBusinessTally(['profit'], true)
  for (const [entity, rows] of rowsOf.entries())
    for (let i = 0; i < rows; i++) tally.add(entity, [profit + (entity % 5) - 2 + (i % 3) - 1], true)
  const figure = tally.finish()['profit']
  if (figure === undefined) throw new Error('It has no figure.')
  return figure
}

function evidenceOf(candidate: Figure, champion: Figure, isKeyless = false): JsonValue {
  const sides = { candidate: sideFigure(candidate, isKeyless), champion: sideFigure(champion, isKeyless) }
  const evidence = { at: 0, outcome: 'sold', figure: 'profit', better: 'higher', margin: 0, ...sides, steps: [{ share: 0.5, ...sides }] }
  return JSON.parse(JSON.stringify(evidence)) as JsonValue
}

const equal = (entities: number, rows: number): number[] => Array.from({ length: entities }, () => rows)

describe('a gate of outcomes with few entities', () => {
  it('says what it waits for, however many rows there are', () => {
    const evidence = evidenceOf(profitOf(equal(20, 100), 10), profitOf(equal(400, 20), 10))
    expect(judgeGate(spec, evidence)).toMatchObject({
      verdict: 'not enough evidence',
      text: expect.stringMatching(
        /\(2000 rows\).*That is too few entities: those of the candidate weigh as 20 with equally many rows, and each version needs 100\.$/,
      ) as string,
    })
    expect(gateDifference(spec, evidence)).toBeNull()
  })

  it('holds a candidate that seems worse, and does not roll it back', () => {
    const few = evidenceOf(profitOf(equal(20, 100), 5), profitOf(equal(400, 20), 10))
    expect(judgeGate(spec, few)).toMatchObject({
      verdict: 'hold',
      text: expect.stringMatching(/It seems to be worse by more than the margin \(p .*\), which so few entities do not show: /) as string,
    })
    const enough = evidenceOf(profitOf(equal(120, 20), 5), profitOf(equal(400, 20), 10))
    expect(judgeGate(spec, enough).verdict).toBe('roll back')
    expect(gateDifference(spec, enough)).not.toBeNull()
  })

  it('counts entities by their rows, so one that has most of them counts as few', () => {
    const evidence = evidenceOf(profitOf(equal(400, 20), 10), profitOf([20_000, ...equal(400, 5)], 10))
    expect(judgeGate(spec, evidence).text).toMatch(/those of the champion weigh as 1 with equally many rows/)
  })

  it('takes each row for an entity if the model has no keys', () => {
    expect(judgeGate(spec, evidenceOf(profitOf([500], 10), profitOf([500], 10), true)).verdict).toBe('advance')
    expect(judgeGate(spec, evidenceOf(profitOf([500], 10), profitOf([500], 10))).verdict).toBe('not enough evidence')
  })

  it('asks for entities of the rarer label where AUC is compared', async () => {
    const tally = createClassifierTally({ threshold: 0.5, decides: false, limit: 10_000, withSpread: true })
    for (let i = 0; i < 1800; i++) tally.add({ entity: i, score: (i % 97) / 97, outcome: i % 60 === 0 ? 1 : 0 })
    const { auc, accuracy, calibrationError } = (await tally.finish(0)).figures
    expect(auc?.spread?.entities).toBeCloseTo(30, 9)
    expect([accuracy, calibrationError].map((figure) => figure?.spread?.entities)).toEqual(
      [1, 1].map(() => expect.closeTo(1800, 6) as number),
    )
  })

  // `npm run bench -- rollout --only statistics` does it with other entities, more often
  it('rolls back no good candidate where a test of its rows would, because a few entities decide', () => {
    const kind = entityKinds.find(({ name }) => name.startsWith('revenue: a tenth'))
    if (kind === undefined) throw new Error('There is no such kind.')
    const { beyond, rolledBack } = lookAtFewEntities(kind, { entities: 100, share: 0.05, repeats: 60 })
    expect(beyond).toBeGreaterThan(0.04)
    expect(rolledBack).toBe(0)
  })
})
