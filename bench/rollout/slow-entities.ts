import { SideCounts } from '../../monitoring/rollouts/side-counts.ts'
import { judgeGate } from '../../monitoring/rollouts/gates/all-gates.ts'
import { gate } from '../../registry/rollouts/plan-schema.ts'
import { createRandom } from '../../statistics/random.ts'

export interface EntityMix {
  readonly name: string
  readonly entities: number
  /** Entity k has a share of the requests in proportion to `k ** -exponent`; 0: all have as many. */
  readonly exponent: number
}

export const entityMixes: readonly EntityMix[] = [
  { name: 'with equally many requests', entities: 1000, exponent: 0 },
  { name: 'with equally many requests', entities: 20, exponent: 0 },
  { name: 'a few with most requests', entities: 1000, exponent: 1.1 },
  { name: 'a few with most requests', entities: 100, exponent: 1.1 },
]

/** Shares of the candidate with its rows in the step, as in the default plan. */
const steps = [
  { share: 0.01, rows: 500 },
  { share: 0.05, rows: 2000 },
  { share: 0.25, rows: 5000 },
  { share: 0.5, rows: 10_000 },
]
const [looks, slowShare, slowMs, fastMs] = [12, 0.1, 60, 10]
const spec = gate({ kind: 'latency' })

/**
 * Rollouts of a candidate that takes exactly as long as the champion, where a tenth of the entities take six times as
 * long as the others with both.
 *
 * @returns the share of rollouts that the gate rolled back
 */
export function lookAtSlowEntities({ entities, exponent }: EntityMix, repeats: number, seed = 96): number {
  const random = createRandom(seed)
  const upTo: number[] = []
  for (let k = 1; k <= entities; k++) upTo.push((upTo.at(-1) ?? 0) + k ** -exponent)
  const all = upTo.at(-1) ?? 0
  const drawEntity = (): number => {
    const at = random.next() * all
    let [low, high] = [0, entities - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((upTo[middle] as number) < at) low = middle + 1
      else high = middle
    }
    return low
  }
  let rolledBack = 0
  for (let r = 0; r < repeats; r++) {
    const ofEntity = upTo.map(() => ({ place: random.next(), ms: random.next() < slowShare ? slowMs : fastMs }))
    const isRolledBack = steps.some(({ share, rows }) => {
      const [candidate, champion] = [new SideCounts(), new SideCounts()]
      for (let look = 0; look < looks; look++) {
        for (let i = 0; i < rows / share / looks; i++) {
          const { place, ms } = ofEntity[drawEntity()] as (typeof ofEntity)[number]
          const side = place < share ? candidate : champion
          side.latency.observe(ms * Math.exp(0.3 * random.normal()))
        }
        const evidence = { candidate: candidate.latency.bins(), champion: champion.latency.bins(), championOf: 'the same time' }
        if (judgeGate(spec, evidence).verdict === 'roll back') return true
      }
      return false
    })
    if (isRolledBack) rolledBack++
  }
  return rolledBack / repeats
}
