import type { Column } from '../../../kernel/values/value-type.ts'
import { isNumeric } from '../../../kernel/values/value-type.ts'
import { addEntity, clusteredShares, createEntitySums } from '../../../statistics/clustered-shares.ts'
import type { ColumnBins } from '../../../statistics/column-bins.ts'
import { binCount, binOf, categoryBins, categoryText, numberBins } from '../../../statistics/column-bins.ts'
import { driftDistances } from '../../../statistics/drift-distances.ts'
import { driftTest } from '../../../statistics/drift-test.ts'
import { proportionRise } from '../../../statistics/proportion-difference.ts'
import { mergeRareBins } from '../../../statistics/merge-rare-bins.ts'
import { comparedType } from '../../compared-output.ts'
import type { LoggedOutputs } from '../logged-sides.ts'
import { readLoggedSides } from '../logged-sides.ts'
import type { Gate } from './gate.ts'
import { alphaOfLook, isDue, percent, short } from './gate.ts'

interface PredictionsEvidence {
  /** When the log was read, epoch microseconds. Absent: evidence of an earlier version of Lockstep. */
  readonly at?: number
  /** Tests so far: one whenever the rows have doubled. */
  readonly looks: number
  readonly rows: { readonly candidate: number; readonly champion: number }
  readonly outputs: readonly OutputEvidence[]
}

interface OutputEvidence {
  readonly output: string
  readonly p: number | null
  readonly psi: number
  readonly psiByChance: number
  /** Absent: no number, or evidence of an earlier version of Lockstep. */
  readonly numbers?: { readonly candidate: Numbers; readonly champion: Numbers }
}

interface Numbers {
  /** null: it has no finite value. */
  readonly mean: number | null
  readonly entities: number
  /** Entities whose first row of the sample has NaN or an infinity. */
  readonly notFinite: number
}

/** The least rise of the share of NaN and infinities that counts. PSI hardly sees a few per cent. */
const minRise = 0.01

type Scalar = string | number | boolean

/**
 * Whether the candidate's outputs are distributed as the champion's at the same time. A new version may well differ, so
 * by default a difference only holds the rollout. Rows of one entity may depend on each other; the level is spent over
 * the tests, and Bonferroni over outputs.
 */
export const predictions: Gate<'predictions', PredictionsEvidence> = {
  kind: 'predictions',
  async gather(context, { rows: limit }, before) {
    const last = before === null ? 0 : Math.min(before.rows.candidate, before.rows.champion)
    if (before !== null && (last === limit || !isDue(before.at ?? null, context))) return before
    const { outputs: logged } = await readLoggedSides(context)
    // the sample is the largest that a gate of the rollout asks for
    const [candidate, champion] = [logged.candidate.slice(0, limit), logged.champion.slice(0, limit)]
    const rows = { candidate: candidate.length, champion: champion.length }
    const least = Math.min(rows.candidate, rows.champion)
    if (before !== null && before.looks > 0 && least < 2 * last && least < limit) return { ...before, at: context.now }
    const outputs = context.model.spec.output.flatMap((output) => compare(output, candidate, champion) ?? [])
    return { at: context.now, looks: (before?.looks ?? 0) + (outputs.length > 0 ? 1 : 0), rows, outputs }
  },
  judge({ alpha, minPsi, onBreach }, { looks, rows, outputs }) {
    const broken = outputs.find(({ numbers }) => numbers !== undefined && failsMore(numbers, alpha / outputs.length))
    if (broken?.numbers !== undefined) {
      const { candidate, champion } = broken.numbers
      const text = `The output "${broken.output}" is NaN or infinite for ${shareOf(candidate)} of ${candidate.entities} entities with the candidate, and for ${shareOf(champion)} of ${champion.entities} with the champion.`
      return { verdict: onBreach, text }
    }
    const tested = outputs.filter(({ p }) => p !== null)
    if (tested.length === 0)
      return {
        verdict: 'not enough evidence',
        text: `The ${rows.candidate} logged rows of the candidate and ${rows.champion} of the champion are of too few entities for a test.`,
      }
    const level = alphaOfLook(alpha, Math.max(1, looks)) / tested.length
    const moved = tested.filter(({ p, psi, psiByChance }) => (p ?? 1) <= level && psi - psiByChance >= minPsi)
    const [worst] = moved.toSorted((a, b) => b.psi - a.psi)
    if (worst === undefined)
      return { verdict: 'advance', text: `The outputs of ${rows.candidate} rows are like the champion's (${rows.champion} rows).` }
    const [own, theirs] = [worst.numbers?.candidate.mean ?? null, worst.numbers?.champion.mean ?? null]
    const means =
      own === null || theirs === null ? '' : `: its mean is ${short(own)} with the candidate and ${short(theirs)} with the champion`
    const text = `The distribution of the output "${worst.output}" differs from the champion's (PSI ${short(worst.psi)}, ${short(worst.psiByChance)} by chance)${means}.`
    return { verdict: onBreach, text }
  },
}

/** Entities may be weighed by rows in the test of distributions, but not here: each counts once. */
function failsMore({ candidate, champion }: { readonly candidate: Numbers; readonly champion: Numbers }, alpha: number): boolean {
  if (candidate.entities === 0 || champion.entities === 0) return false
  const [control, treatment] = [champion, candidate].map(({ notFinite, entities }) => ({ successes: notFinite, n: entities }))
  if (control === undefined || treatment === undefined) return false
  const { value, p } = proportionRise(control, treatment, { alpha })
  return value >= minRise && p <= alpha
}

function shareOf({ notFinite, entities }: Numbers): string {
  return percent(notFinite / entities)
}

function numbersOf(entities: ReadonlyMap<string, readonly Scalar[]>): Numbers {
  const finite = [...entities.values()].flat().map(Number).filter(Number.isFinite)
  return {
    mean: finite.length === 0 ? null : finite.reduce((sum, value) => sum + value, 0) / finite.length,
    entities: entities.size,
    notFinite: [...entities.values()].filter(([first]) => !Number.isFinite(Number(first))).length,
  }
}

function compare(
  { name: output, type }: Column,
  candidate: readonly LoggedOutputs[],
  champion: readonly LoggedOutputs[],
): PredictionsEvidence['outputs'][number] | null {
  const [own, theirs] = [byEntity(output, candidate), byEntity(output, champion)]
  const reference = [...theirs.values()].flat()
  if (own.size < 2 || theirs.size < 2) return null
  const areNumbers = isNumeric(comparedType(type))
  const bins = binsOf(reference, areNumbers)
  const sums = [theirs, own].map((entities) => {
    const all = createEntitySums(binCount(bins))
    for (const values of entities.values())
      addEntity(
        all,
        values.map((value) => binOf(bins, value)),
      )
    return all
  })
  const [first, second] = mergeRareBins(sums[0] as (typeof sums)[number], sums[1] as (typeof sums)[number])
  const { p, expectedPsi } = driftTest(clusteredShares(first), clusteredShares(second))
  const smoothed = [first, second].map(({ counts }) => Array.from(counts, (count) => count + 0.5))
  const { psi } = driftDistances(smoothed[0] as number[], smoothed[1] as number[])
  const numbers = areNumbers ? { numbers: { candidate: numbersOf(own), champion: numbersOf(theirs) } } : {}
  return { output, p, psi, psiByChance: expectedPsi, ...numbers }
}

function byEntity(output: string, rows: readonly LoggedOutputs[]): Map<string, Scalar[]> {
  const entities = new Map<string, Scalar[]>()
  for (const { entity, outputs } of rows) {
    const logged = outputs[output]
    // of two probabilities, that of yes
    const value = Array.isArray(logged) && logged.length === 2 ? (logged[1] as unknown) : logged
    if (typeof value !== 'number' && typeof value !== 'string' && typeof value !== 'boolean') continue
    const known = entities.get(entity)
    if (known === undefined) entities.set(entity, [value])
    else known.push(value)
  }
  return entities
}

/** The log has an int64 as text, and a number that JSON has not as `NaN` or `Infinity`. */
function binsOf(values: readonly Scalar[], areNumbers: boolean): ColumnBins {
  if (areNumbers) return numberBins(Float64Array.from(values.map(Number).filter(Number.isFinite)).sort())
  const counts = new Map<string, number>()
  for (const value of values) counts.set(categoryText(value), (counts.get(categoryText(value)) ?? 0) + 1)
  return categoryBins(counts)
}
