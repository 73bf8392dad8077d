import { lowerIsBetter } from '../monitoring/quality/paired-tally.ts'
import type { Decision, TrainingEvaluation } from '../registry/trainings/training-run.ts'
import type { Requirement } from '../registry/trainings/training-spec.ts'

/** The part of an evaluation that a comparison needs. */
type Compared = Pick<TrainingEvaluation, 'champion' | 'candidate' | 'championFigures' | 'differences' | 'notes'>

/** Whether a version meets each requirement. A metric that is missing meets none. */
export function decide(requirements: readonly Requirement[], metrics: Readonly<Record<string, number>>, compared: Compared): Decision[] {
  return requirements.map((requirement) => ({
    requirement,
    ...('against' in requirement ? againstChampion(requirement, compared) : withinLimit(requirement, metrics)),
  }))
}

type Verdict = Omit<Decision, 'requirement'>

function withinLimit(requirement: Exclude<Requirement, { against: unknown }>, metrics: Readonly<Record<string, number>>): Verdict {
  const { metric } = requirement
  const value = Object.hasOwn(metrics, metric) ? metrics[metric] : undefined
  if (value === undefined) {
    const known = Object.keys(metrics)
    return {
      holds: false,
      text: `${metric} is missing: ${known.length === 0 ? 'there are no metrics' : `its metrics are ${known.join(', ')}`}`,
    }
  }
  if ('atLeast' in requirement)
    return verdict(value >= requirement.atLeast, `${metric} is ${digits(value)}`, `at least ${requirement.atLeast}`)
  return verdict(value <= requirement.atMost, `${metric} is ${digits(value)}`, `at most ${requirement.atMost}`)
}

function againstChampion(
  { metric, worseByAtMost }: Extract<Requirement, { against: unknown }>,
  { champion, candidate, championFigures, differences, notes }: Compared,
): Verdict {
  if (champion === null) return { holds: true, text: `${metric} has no champion to be compared with` }
  const difference = Object.hasOwn(differences, metric) ? differences[metric] : undefined
  if (difference === undefined) {
    const known = Object.keys(differences)
    const why = known.length > 0 ? `${known.join(', ')} can` : notes.join(' ')
    return { holds: false, text: `${metric} cannot be compared with the champion: ${why}` }
  }
  const worse = lowerIsBetter.has(metric) ? difference.value : -difference.value
  const figures = [candidate[metric], championFigures[metric]].map((figure) => (figure === undefined ? 'unknown' : digits(figure.value)))
  return verdict(
    worse <= worseByAtMost,
    `${metric} is ${figures[0]}, and ${figures[1]} of the champion ${champion}`,
    `at most ${worseByAtMost} worse`,
  )
}

function verdict(holds: boolean, what: string, limit: string): Verdict {
  return { holds, text: `${what}, ${holds ? 'which is' : 'and must be'} ${limit}` }
}

function digits(value: number): string {
  return String(Number(value.toPrecision(6)))
}
