import { BinnedRows } from '../../monitoring/rollups/binned-rows.ts'
import { layoutOf } from '../../monitoring/rollups/bin-layout.ts'
import type { EntitySums } from '../../statistics/clustered-shares.ts'
import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import { binCount, binOf, numberBins } from '../../statistics/column-bins.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { mergeRareBins } from '../../statistics/merge-rare-bins.ts'
import { type Random, createRandom } from '../../statistics/random.ts'

/** Served windows without drift whose entities come again in other minutes and processes, and how often they alarm. */
export interface MinuteAlarms {
  readonly baseline: number
  readonly window: number
  readonly minutes: number
  readonly rowsPerEntity: number
  readonly repeats: number
  /**
   * Alarms of the drift test over 5 %, with the baseline's bins, the entity sample of the rollups and merged rare bins.
   */
  readonly ratio: number | null
}

const processes = 2
/** The share of variance that the entity explains. */
const shared = 0.8

/**
 * A baseline as a training set makes it, and a window as servers summarize it: minute by minute, each process on its
 * own, then merged. The rows of an entity come in random minutes.
 */
export function minuteAlarms(baseline: number, window: number, minutes: number, rowsPerEntity: number, repeats: number): MinuteAlarms {
  const random = createRandom(baseline + 31 * window + 7 * minutes + rowsPerEntity)
  let [tests, alarms] = [0, 0]
  for (let i = 0; i < repeats; i++) {
    const trained = drawEntities(random, baseline, rowsPerEntity)
    const bins = numberBins(Float64Array.from(trained.flat()).sort())
    const [first, second] = mergeRareBins(
      sumsOf(bins, trained),
      servedSums(random, bins, drawEntities(random, window, rowsPerEntity), minutes),
    ).map(clusteredShares)
    if (first === undefined || second === undefined) continue
    const { p } = driftTest(first, second)
    if (p === null) continue
    tests++
    if (p < 0.05) alarms++
  }
  return { baseline, window, minutes, rowsPerEntity, repeats, ratio: tests <= repeats / 2 ? null : alarms / tests / 0.05 }
}

/** The values of each entity; their numbers are geometric. */
function drawEntities(random: Random, rows: number, mean: number): number[][] {
  const entities: number[][] = []
  for (let left = rows; left > 0;) {
    const wanted = mean === 1 ? 1 : 1 + Math.floor(Math.log(1 - random.next()) / Math.log(1 - 1 / mean))
    const size = Math.min(left, wanted)
    const own = Math.sqrt(shared) * random.normal()
    entities.push(Array.from({ length: size }, () => own + Math.sqrt(1 - shared) * random.normal()))
    left -= size
  }
  return entities
}

function sumsOf(bins: ColumnBins, entities: readonly (readonly number[])[]): EntitySums {
  const sums = createEntitySums(binCount(bins))
  for (const values of entities)
    addEntity(
      sums,
      values.map((value) => binOf(bins, value)),
    )
  return sums
}

function servedSums(random: Random, bins: ColumnBins, entities: readonly (readonly number[])[], minutes: number): EntitySums {
  const layout = layoutOf([{ column: 'x', binsId: 'bins', bins: binCount(bins) }])
  const parts = Array.from({ length: minutes * processes }, () => new BinnedRows(layout))
  const bin = new Int32Array(1)
  for (const values of entities) {
    const hash = Math.floor(random.next() * 2 ** 32) * 2 ** 21 + random.below(2 ** 21)
    for (const value of values) {
      bin[0] = binOf(bins, value)
      parts[random.below(parts.length)]?.add(hash, bin)
    }
  }
  const all = new BinnedRows(layout)
  for (const part of parts) all.merge(part)
  return all.columns().get('x')?.[0]?.sums ?? createEntitySums(binCount(bins))
}
