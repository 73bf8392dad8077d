import type { Requirement, TrainingSpec } from './training-spec.ts'

/** `auc of at least 0.8` */
export function requirementText(requirement: Requirement): string {
  if ('atLeast' in requirement) return `${requirement.metric} of at least ${requirement.atLeast}`
  if ('atMost' in requirement) return `${requirement.metric} of at most ${requirement.atMost}`
  return `${requirement.metric} at most ${requirement.worseByAtMost} worse than the ${requirement.against}`
}

/** What becomes of a version that was registered. */
export function deployText(deploy: TrainingSpec['deploy']): string {
  if (deploy === 'nothing') return 'registers the version'
  return deploy === 'promote' ? 'promotes the version' : `starts a rollout by the plan ${deploy.rollout}`
}
