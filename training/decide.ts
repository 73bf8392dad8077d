import type { Decision } from '../registry/trainings/training-run.ts'
import type { Requirement } from '../registry/trainings/training-spec.ts'

/** The figures of a version, by name. */
export type Figures = Readonly<Record<string, number>>

/** Whether a version meets each requirement. A metric that is missing meets none. */
export function decide(requirements: readonly Requirement[], figures: Figures): Decision[] {
  return requirements.map((requirement) => ({ requirement, ...judged(requirement, figures) }))
}

function judged(requirement: Requirement, figures: Figures): Omit<Decision, 'requirement'> {
  const { metric } = requirement
  const value = Object.hasOwn(figures, metric) ? figures[metric] : undefined
  if (value === undefined) {
    const known = Object.keys(figures)
    const has = known.length === 0 ? 'there are no metrics' : `its metrics are ${known.join(', ')}`
    return { holds: false, text: `${metric} is missing: ${has}` }
  }
  if ('atLeast' in requirement) return compared(value >= requirement.atLeast, `${metric} is ${value}`, `at least ${requirement.atLeast}`)
  if ('atMost' in requirement) return compared(value <= requirement.atMost, `${metric} is ${value}`, `at most ${requirement.atMost}`)
  return { holds: false, text: `${metric} cannot be compared with the champion` }
}

function compared(holds: boolean, what: string, limit: string): Omit<Decision, 'requirement'> {
  return { holds, text: `${what}, ${holds ? 'which is' : 'and must be'} ${limit}` }
}
