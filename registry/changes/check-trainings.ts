import { LockstepError } from '../../kernel/errors.ts'
import type { Definition } from '../definition.ts'
import { checkPlan } from '../rollouts/check-plan.ts'
import { parsePlan } from '../rollouts/plan-schema.ts'

/**
 * Trainings whose own rollout plan could not start a rollout.
 *
 * @param others the stored definitions that stay
 * @param allowPrivate whether webhooks of gates may have private addresses
 */
export function checkTrainings(declared: readonly Definition[], others: readonly Definition[], allowPrivate: boolean): LockstepError[] {
  const outcomes = [...declared, ...others].flatMap((definition) =>
    definition.kind === 'outcome' && definition.spec.output !== null
      ? [{ name: definition.name, model: definition.spec.model, figures: Object.keys(definition.operational.figures ?? {}) }]
      : [],
  )
  return declared.flatMap((definition) => {
    if (definition.kind !== 'training') return []
    const { name, model, deploy } = definition.spec
    if (typeof deploy === 'string' || typeof deploy.rollout === 'string') return []
    try {
      const own = outcomes.filter((outcome) => outcome.model === model)
      checkPlan({ name: model, outcomes: own }, parsePlan(deploy.rollout, []), allowPrivate)
      return []
    } catch (error) {
      if (!(error instanceof LockstepError)) throw error
      return [
        new LockstepError('DEFINITIONS_INVALID', `The training "${name}" deploys by a rollout plan that is refused. ${error.message}`, {
          cause: error,
          details: { ...error.details, training: name },
        }),
      ]
    }
  })
}
