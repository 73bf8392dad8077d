import { hashText } from '../../kernel/values/hash-text.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import { quantileRanks } from '../../statistics/confidence-sequence.ts'
import { createEntityTally } from '../quality/entity-tally.ts'
import type { Figure } from '../quality/figure.ts'
import type { ExplainingFeature } from './explain-difference.ts'
import { explainDifference } from './explain-difference.ts'
import type { LoggedPair } from './logged-pairs.ts'
import type { OutputComparison } from './output-difference.ts'
import { compareOutput } from './output-difference.ts'

/** A quantile of absolute differences. */
export interface DifferenceQuantile {
  readonly quantile: number
  readonly value: number
  /**
   * The limits hold at 95 % for independent rows, however often you look while the sample grows; from then on at each
   * look alone. null: the sample is too small for one.
   */
  readonly low: number | null
  readonly high: number | null
}

export interface ComparedOutput {
  readonly output: string
  readonly kind: OutputComparison['kind']
  /** Pairs whose difference is a number. */
  readonly n: number
  /** Pairs with NaN or an infinity on one side; they count as beyond the tolerance. */
  readonly notComparable: number
  /** Candidate minus champion. */
  readonly mean: Figure
  /** Quantiles of absolute differences; empty for categories. */
  readonly quantiles: readonly DifferenceQuantile[]
  /** The share of pairs that differ by more than the tolerance. */
  readonly beyond: Figure
  /** The share of pairs that are decided otherwise; null: the output decides nothing. */
  readonly flips: (Figure & { readonly threshold: number | null }) | null
}

/** A row whose outputs differ much. */
export interface ShadowExample {
  /** The shadow's prediction. */
  readonly predictionId: string
  /** The prediction that was answered. */
  readonly answeredId: string
  readonly answeredVersion: number
  /** RFC 3339. */
  readonly asOf: string
  readonly service: string
  readonly keys: Readonly<Record<string, unknown>>
  readonly answered: unknown
  readonly candidate: unknown
  /** null: NaN or an infinity on one side. */
  readonly difference: number | null
}

export interface ComparedPairs {
  /** Distinct entities of the pairs; null: more than are kept apart. */
  readonly entities: number | null
  readonly outputs: readonly ComparedOutput[]
  /** The output that `features` and `examples` are about; null: there are no pairs. */
  readonly output: string | null
  /** Features that predict where the versions differ, the best first. */
  readonly features: readonly ExplainingFeature[]
  /** Features whose values differ between the versions, and in what share of pairs. */
  readonly changedFeatures: readonly { readonly feature: string; readonly share: number; readonly n: number }[]
  /** The greatest differences. */
  readonly examples: readonly ShadowExample[]
}

const quantiles = [0.5, 0.9, 0.99]
const [maxExamples, maxFeatures] = [5, 10]
/** Columns of the tally. */
const [one, known, signed, beyondTolerance, flipped] = [0, 1, 2, 3, 4]

export function comparePairs(
  pairs: readonly LoggedPair[],
  columns: readonly Column[],
  { tolerance, threshold }: { readonly tolerance: number; readonly threshold: number | undefined },
): ComparedPairs {
  if (pairs.length === 0) return { entities: 0, outputs: [], output: null, features: [], changedFeatures: [], examples: [] }
  const comparisons = columns.map((column) => compareOutput(column, threshold))
  const entities = pairs.map(({ keys }) => hashText(JSON.stringify(keys)))
  const compared = comparisons.map((comparison) => compareOne(comparison, pairs, entities, tolerance))
  const main = Math.max(
    0,
    comparisons.findIndex(({ kind }) => kind === 'number'),
  )
  const [comparison, mainOutput] = [comparisons[main], compared[main]]
  if (comparison === undefined || mainOutput === undefined)
    return { entities: null, outputs: [], output: null, features: [], changedFeatures: [], examples: [] }
  const { differences } = mainOutput
  return {
    entities: mainOutput.entities,
    outputs: compared.map(({ result }) => result),
    output: comparison.output,
    features: explained(pairs, differences).slice(0, maxFeatures),
    changedFeatures: changedFeatures(pairs).slice(0, maxFeatures),
    examples: examples(comparison, pairs, differences),
  }
}

function compareOne(
  { output, kind, decides, difference, flips }: OutputComparison,
  pairs: readonly LoggedPair[],
  entities: readonly number[],
  tolerance: number,
) {
  const tally = createEntityTally(5)
  const differences = pairs.map(({ champion, candidate }) => difference(champion[output], candidate[output]))
  pairs.forEach(({ champion, candidate }, i) => {
    const own = differences[i] ?? null
    const isBeyond = own === null || Math.abs(own) > tolerance
    const isFlipped = flips(champion[output], candidate[output])
    tally.add(entities[i] as number, Float64Array.of(1, own === null ? 0 : 1, own ?? 0, Number(isBeyond), Number(isFlipped)))
  })
  const ascending = Float64Array.from(differences.filter((each) => each !== null).map(Math.abs)).sort()
  const result: ComparedOutput = {
    output,
    kind,
    n: ascending.length,
    notComparable: pairs.length - ascending.length,
    mean: tally.ratio({ [signed]: 1 }, { [known]: 1 }),
    quantiles: kind === 'number' ? quantiles.map((quantile) => quantileOf(ascending, quantile)).filter((each) => each !== null) : [],
    beyond: tally.share(beyondTolerance, one),
    flips: decides === null ? null : { ...tally.share(flipped, one), threshold: decides.threshold },
  }
  return { result, differences, entities: tally.entities() }
}

function quantileOf(ascending: Float64Array, quantile: number): DifferenceQuantile | null {
  const n = ascending.length
  if (n === 0) return null
  const { low, high } = quantileRanks(n, quantile)
  return {
    quantile,
    value: ascending[Math.min(n - 1, Math.ceil(quantile * n) - 1)] as number,
    low: ascending[low] ?? null,
    high: ascending[high] ?? null,
  }
}

function explained(pairs: readonly LoggedPair[], differences: readonly (number | null)[]): ExplainingFeature[] {
  const comparable = pairs.filter((_, i) => differences[i] !== null)
  const names = new Set(comparable.flatMap(namesOf))
  const values = new Map(
    Array.from(names, (name) => [
      name,
      comparable.map(({ candidateFeatures, championFeatures }) => (name in candidateFeatures ? candidateFeatures : championFeatures)[name]),
    ]),
  )
  return explainDifference(differences.filter((each) => each !== null).map(Math.abs), values)
}

function namesOf({ candidateFeatures, championFeatures }: LoggedPair): string[] {
  return [...Object.keys(candidateFeatures), ...Object.keys(championFeatures)]
}

function changedFeatures(pairs: readonly LoggedPair[]) {
  const counts = new Map<string, { both: number; changed: number }>()
  for (const { candidateFeatures, championFeatures } of pairs) {
    for (const [feature, value] of Object.entries(candidateFeatures)) {
      if (!(feature in championFeatures)) continue
      let count = counts.get(feature)
      if (count === undefined) counts.set(feature, (count = { both: 0, changed: 0 }))
      count.both++
      if (JSON.stringify(value) !== JSON.stringify(championFeatures[feature])) count.changed++
    }
  }
  return Array.from(counts, ([feature, { both, changed }]) => ({ feature, share: changed / both, n: both }))
    .filter(({ share }) => share > 0)
    .toSorted((a, b) => b.share - a.share)
}

/** Examples, rows that cannot be compared first. */
function examples({ output }: OutputComparison, pairs: readonly LoggedPair[], differences: readonly (number | null)[]): ShadowExample[] {
  const size = (i: number) => Math.abs(differences[i] ?? Number.POSITIVE_INFINITY)
  const order = pairs.map((_, i) => i).filter((i) => size(i) > 0)
  return order
    .toSorted((a, b) => (size(a) === size(b) ? a - b : size(b) - size(a)))
    .slice(0, maxExamples)
    .map((i) => {
      const { predictionId, championId, championVersion, asOf, service, keys, champion, candidate } = pairs[i] as LoggedPair
      return {
        predictionId,
        answeredId: championId,
        answeredVersion: championVersion,
        asOf: formatTimestamp(asOf),
        service,
        keys,
        answered: champion[output],
        candidate: candidate[output],
        difference: differences[i] ?? null,
      }
    })
}
