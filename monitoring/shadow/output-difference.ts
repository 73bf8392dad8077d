import type { Column } from '../../kernel/values/value-type.ts'

/** How one output of two versions is compared. */
export interface OutputComparison {
  readonly output: string
  /** `number`: how far apart they are. `category`: 0 if they are equal, else 1. */
  readonly kind: 'number' | 'category'
  /** For outputs that are decisions: the threshold of a score; null: each value is a decision. */
  readonly decides: { readonly threshold: number | null } | null
  /**
   * Candidate minus champion; of a vector, the element that differs most; of two probabilities, that of yes. null: NaN
   * or an infinity on one side.
   */
  difference(champion: unknown, candidate: unknown): number | null
  /** Whether the candidate decides otherwise. */
  flips(champion: unknown, candidate: unknown): boolean
}

/**
 * Compares the values of an output, as the prediction log has them in JSON.
 *
 * @param threshold of the model; undefined: it declares none, and only two probabilities are a score, with 0.5
 */
export function compareOutput({ name: output, type }: Column, threshold: number | undefined): OutputComparison {
  if (type.kind === 'vector') {
    const isScore = type.length === 2
    const least = threshold ?? 0.5
    return {
      output,
      kind: 'number',
      decides: isScore ? { threshold: least } : null,
      difference: greatestDifference,
      flips: (a, b) => isScore && numberAt(a, 1) >= least !== numberAt(b, 1) >= least,
    }
  }
  if (type.kind === 'float32' || type.kind === 'float64') {
    return {
      output,
      kind: 'number',
      decides: threshold === undefined ? null : { threshold },
      difference: (a, b) => numberDifference(numberOf(a), numberOf(b)),
      flips: (a, b) => threshold !== undefined && numberOf(a) >= threshold !== numberOf(b) >= threshold,
    }
  }
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b)
  return { output, kind: 'category', decides: { threshold: null }, difference: (a, b) => Number(differs(a, b)), flips: differs }
}

function greatestDifference(champion: unknown, candidate: unknown): number | null {
  if (!Array.isArray(champion) || !Array.isArray(candidate) || champion.length !== candidate.length) return null
  // of two probabilities, that of yes: both differ alike, with opposite signs
  if (areProbabilities(champion) && areProbabilities(candidate)) return numberAt(candidate, 1) - numberAt(champion, 1)
  let greatest = 0
  for (let i = 0; i < champion.length; i++) {
    const difference = numberDifference(numberOf(champion[i]), numberOf(candidate[i]))
    if (difference === null) return null
    if (Math.abs(difference) > Math.abs(greatest)) greatest = difference
  }
  return greatest
}

function areProbabilities(values: readonly unknown[]): boolean {
  return values.length === 2 && Math.abs(numberAt(values, 0) + numberAt(values, 1) - 1) < 1e-4
}

function numberDifference(champion: number, candidate: number): number | null {
  if (Object.is(champion, candidate)) return 0
  const difference = candidate - champion
  return Number.isFinite(difference) ? difference : null
}

function numberAt(value: unknown, index: number): number {
  return Array.isArray(value) ? numberOf(value[index]) : Number.NaN
}

/** The log writes NaN and infinities as texts. */
function numberOf(value: unknown): number {
  return typeof value === 'number' || typeof value === 'string' ? Number(value) : Number.NaN
}
