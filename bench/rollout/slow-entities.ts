import { SideCounts } from '../../monitoring/rollouts/side-counts.ts'
import { isCompared } from '../../monitoring/rollouts/unit-chance.ts'
import { judgeGate } from '../../monitoring/rollouts/gates/all-gates.ts'
import { latencyEvidence } from '../../monitoring/rollouts/gates/latency.ts'
import type { GateOf } from '../../registry/rollouts/plan-schema.ts'
import { gate } from '../../registry/rollouts/plan-schema.ts'
import type { Random } from '../../statistics/random.ts'
import { createRandom } from '../../statistics/random.ts'

export interface EntityMix {
  readonly name: string
  readonly entities: number
  /** Entity k has a share of the requests in proportion to `k ** -exponent`; 0: all have as many. */
  readonly exponent: number
}

export const entityMixes: readonly EntityMix[] = [
  { name: 'with equally many requests', entities: 1_000_000, exponent: 0 },
  { name: 'with equally many requests', entities: 1000, exponent: 0 },
  { name: 'with equally many requests', entities: 20, exponent: 0 },
  { name: 'with equally many requests', entities: 5, exponent: 0 },
  { name: 'a few with most requests', entities: 1000, exponent: 1.1 },
  { name: 'a few with most requests', entities: 100, exponent: 1.1 },
]

interface SlowEntities {
  /** How many times as long as the champion the candidate takes. */
  readonly slower: number
  readonly repeats: number
  readonly seed?: number
}

interface LookedAtEntities {
  /** The share of rollouts that the gate rolled back, by step. */
  readonly rolledBack: readonly number[]
  /** The share that it held at the end. */
  readonly held: number
  /** The share that it would have rolled back if it took requests for independent. */
  readonly byRequests: number
}

/** Shares of the candidate with its rows in the step, as in the default plan. */
const steps = [
  { share: 0.01, rows: 500 },
  { share: 0.05, rows: 2000 },
  { share: 0.25, rows: 5000 },
  { share: 0.5, rows: 10_000 },
  { share: 1, rows: 10_000 },
]
/** A step that the gate holds lasts up to four times as long. */
const [looks, mostLooks, slowShare, slowMs, fastMs] = [12, 48, 0.1, 60, 10]
const spec = gate({ kind: 'latency' }) as GateOf<'latency'>

/** Rollouts where a tenth of the entities take six times as long as the others, with both versions. */
export function lookAtSlowEntities(mix: EntityMix, { slower, repeats, seed = 96 }: SlowEntities): LookedAtEntities {
  const random = createRandom(seed)
  const drawEntity = entityDrawer(mix, random)
  const rolledBack = steps.map(() => 0)
  let [held, byRequests] = [0, 0]
  for (let r = 0; r < repeats; r++) {
    const { end, step, isByRequests } = rollOut(drawEntity, slower, random)
    if (end === 'roll back') rolledBack[step] = (rolledBack[step] as number) + 1
    if (end === 'hold') held++
    if (isByRequests) byRequests++
  }
  return { rolledBack: rolledBack.map((count) => count / repeats), held: held / repeats, byRequests: byRequests / repeats }
}

function entityDrawer({ entities, exponent }: EntityMix, random: Random): () => number {
  const upTo = new Float64Array(entities)
  for (let k = 1; k <= entities; k++) upTo[k - 1] = (upTo[k - 2] ?? 0) + k ** -exponent
  const all = upTo[entities - 1] as number
  return () => {
    const at = random.next() * all
    let [low, high] = [0, entities - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((upTo[middle] as number) < at) low = middle + 1
      else high = middle
    }
    return low
  }
}

function rollOut(drawEntity: () => number, slower: number, random: Random) {
  const ofEntity = new Map<number, { readonly place: number; readonly ms: number }>()
  const entityOf = (entity: number) => {
    let own = ofEntity.get(entity)
    // two numbers, as a place has more bits than one
    if (own === undefined)
      ofEntity.set(entity, (own = { place: random.next() + random.next() / 2 ** 32, ms: random.next() < slowShare ? slowMs : fastMs }))
    return own
  }
  const before = new SideCounts()
  let isByRequests = false
  for (const [step, { share, rows }] of steps.entries()) {
    const [candidate, champion] = [new SideCounts(), new SideCounts()]
    const counts =
      share < 1
        ? { candidate, champion, championOf: 'the same time' as const }
        : { candidate, champion: before, championOf: 'the steps before' as const }
    let verdict = ''
    for (let look = 0; look < looks || (verdict === 'hold' && look < mostLooks); look++) {
      for (let i = 0; i < rows / share / looks; i++) {
        const { place, ms } = entityOf(drawEntity())
        const [side, factor] = place < share ? [candidate, slower] : [champion, 1]
        side.latency.observe(ms * factor * Math.exp(0.3 * random.normal()), isCompared(place, share) ? place : undefined)
      }
      const evidence = latencyEvidence(spec, counts, share)
      verdict = judgeGate(spec, evidence).verdict
      isByRequests ||= judgeGate(spec, { ...evidence, byUnit: null }).verdict === 'roll back'
      if (verdict === 'roll back') return { end: verdict, step, isByRequests }
    }
    if (verdict === 'hold') return { end: verdict, step, isByRequests }
    before.merge(champion)
  }
  return { end: 'promote', step: steps.length, isByRequests }
}
