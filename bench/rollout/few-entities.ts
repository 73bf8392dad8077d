import { createBusinessTally } from '../../monitoring/quality/business-tally.ts'
import { judgeGate } from '../../monitoring/rollouts/gates/all-gates.ts'
import { sideFigure } from '../../monitoring/rollouts/gates/quality.ts'
import { gate } from '../../registry/rollouts/plan-schema.ts'
import { createRandom, type Random } from '../../statistics/random.ts'

/** How an entity's rows are drawn: first what is its own, then each row. A low figure is worse. */
export interface EntityKind {
  readonly name: string
  entity(random: Random): (random: Random) => number
}

const exponential = (random: Random): number => -Math.log(1 - random.next())

export const entityKinds: readonly EntityKind[] = [
  {
    name: 'normal',
    entity(random) {
      const level = random.normal()
      return () => level + random.normal()
    },
  },
  {
    name: 'revenue: a few entities have most',
    entity(random) {
      const level = Math.exp(1.2 * random.normal())
      return () => level * exponential(random)
    },
  },
  {
    name: 'revenue: a tenth of the entities buy',
    entity(random) {
      const level = random.next() < 0.1 ? Math.exp(random.normal()) : 0
      return () => level
    },
  },
  {
    name: 'losses: a few entities have most',
    entity(random) {
      const level = Math.exp(1.2 * random.normal())
      return () => -level * exponential(random)
    },
  },
]

export interface FewEntities {
  /** Of the version that has fewer. */
  readonly entities: number
  /** Of the candidate. */
  readonly share: number
  readonly repeats: number
  /** Added to each row of the candidate, as a share of the mean of the champion's rows; below 0 it is worse. */
  readonly effect?: number
}

const [looks, maxEntities, alpha] = [25, 2000, 0.01]
const spec = gate({ kind: 'business', figure: 'figure', better: 'higher', margin: 0, samples: 200, alpha })

/**
 * Rollouts of a candidate that is exactly as good as allowed. At each look every version has as many more rows as it
 * has entities, so entities come back.
 *
 * @returns the share of rollouts in which a look exceeded the bound of `alpha`, and in which the gate rolled back
 */
export function lookAtFewEntities(kind: EntityKind, { entities, share, repeats, effect = 0 }: FewEntities, seed = 95) {
  const random = createRandom(seed)
  const others = Math.min(maxEntities, Math.round((entities * Math.max(share, 1 - share)) / Math.min(share, 1 - share)))
  const numbers = share <= 0.5 ? [entities, others] : [others, entities]
  let [beyond, rolledBack] = [0, 0]
  for (let r = 0; r < repeats; r++) {
    const sides = numbers.map((n, side) => ({
      added: side === 0 ? effect : 0,
      rows: Array.from({ length: n }, () => kind.entity(random)),
      tally: createBusinessTally(['figure'], true),
    }))
    let wasBeyond = false
    for (let look = 0; look < looks; look++) {
      for (const { rows, tally, added } of sides)
        for (let i = 0; i < rows.length; i++) {
          const entity = random.below(rows.length)
          tally.add(entity, [(rows[entity]?.(random) ?? 0) + added], true)
        }
      const [candidate, champion] = sides.map(({ tally }) => tally.finish()['figure']).map((figure) => figure && sideFigure(figure))
      if (candidate === undefined || champion === undefined) throw new Error('A tally has no figure.')
      const over = { at: 0, outcome: 'outcome', figure: 'figure', better: 'higher', margin: 0, candidate, champion }
      const evidence = JSON.parse(JSON.stringify({ ...over, steps: [{ share, candidate, champion }] })) as Parameters<typeof judgeGate>[1]
      const { verdict, meter } = judgeGate(spec, evidence)
      wasBeyond ||= meter !== undefined && meter.value >= meter.bound
      if (verdict !== 'roll back') continue
      rolledBack++
      break
    }
    if (wasBeyond) beyond++
  }
  return { beyond: beyond / repeats, rolledBack: rolledBack / repeats }
}
