import type { Window } from '../window.ts'
import { formatShare } from '../../kernel/values/format-number.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { driftDistances } from '../../statistics/drift-distances.ts'
import { minSampledPsi, minSampledRows, sampleFields } from './sample-fields.ts'

const namedEntities = 20

/**
 * Whether the mix of entities differs from that of the time before, by logged rows of all versions: over the twenty
 * most frequent entities and the others.
 *
 * @param key the columns of the entity's key
 * @returns a sentence; null: it did not move, or too few rows are logged
 */
export async function movedEntityMix(
  db: Pick<Database, 'query'>,
  { model, key }: { readonly model: string; readonly key: readonly string[] },
  window: Window,
): Promise<string | null> {
  if (key.length === 0) return null
  const length = window.to - window.from
  const entitiesOf = async (of: Window) => {
    const rows = await sampleFields(db, ['keys'], { model, version: null }, of)
    return rows.map(({ keys }) => key.map((name) => String(keys[name])).join(', '))
  }
  const [now, before] = [await entitiesOf(window), await entitiesOf({ from: window.from - length, to: window.from })]
  if (now.length < minSampledRows || before.length < minSampledRows) return null
  const [current, former] = [countsOf(now), countsOf(before)]
  const names = [...new Set([...current.keys(), ...former.keys()])]
  const most = names.toSorted((a, b) => totalOf(b) - totalOf(a)).slice(0, namedEntities)
  const countsIn = (counts: ReadonlyMap<string, number>, rows: number) => {
    const named = most.map((name) => counts.get(name) ?? 0)
    return [...named, rows - named.reduce((sum, count) => sum + count, 0)].map((count) => count + 0.5)
  }
  const [p, q] = [countsIn(former, before.length), countsIn(current, now.length)]
  const { psi, totalVariation } = driftDistances(p, q)
  if (psi - most.length * (1 / now.length + 1 / before.length) < minSampledPsi) return null
  const moves = most.map((name, i) => ({ name, move: (q[i] as number) / now.length - (p[i] as number) / before.length }))
  const [greatest] = moves.toSorted((a, b) => Math.abs(b.move) - Math.abs(a.move))
  const example = greatest === undefined ? '' : `, most of all ${greatest.name} by ${formatShare(greatest.move)} of rows`
  return `${formatShare(totalVariation)} of rows went to other entities than in the time before${example}`

  function totalOf(name: string): number {
    return (current.get(name) ?? 0) + (former.get(name) ?? 0)
  }
}

function countsOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
