import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { DecisionChange } from '../../registry/experiments/decide-experiment.ts'
import { decideExperiment } from '../../registry/experiments/decide-experiment.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { experimentDecisionAnswer } from '../../serving/protocols/http/experiments/experiment-result-schemas.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollouts/rollout-answers.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { rolloutChangeText } from '../text/rollout-text.ts'

export const experimentDecideCommand: Command = {
  name: 'experiment decide',
  summary: 'Record which variant of an experiment is taken, and why',
  description: [
    'Stops a running experiment, and records who decided, why, and by which analysis. Does not change which version is served. With --rollout, also starts a rollout of the version of the variant by the default plan.',
  ],
  arguments: [{ name: 'NAME', help: 'The experiment.' }],
  options: {
    variant: { value: 'VARIANT', help: 'The variant that is taken.', needed: true },
    reason: { value: 'TEXT', help: 'Why, for the record and the audit log.', needed: true },
    rollout: { help: 'Roll out its version by the default plan.' },
    server: serverOption,
  },
  example: 'lockstep experiment decide offers --variant treatment --reason "more revenue, guardrails pass" --rollout',
  async run(context, input) {
    const [name, variant, by] = [input.argument('NAME'), input.needed('variant'), actorOf(input)]
    const server = serverOf(context, input)
    const change: DecisionChange =
      server === null
        ? await decideExperiment(await context.database(), name, variant, by)
        : await server.ask(
            'POST',
            `/v1/experiments/${encodeURIComponent(name)}/decide`,
            { variant, reason: by.reason },
            experimentDecisionAnswer,
          )
    const { model, decision, notes } = change
    const text = [`The experiment ${name} is decided for ${variant}, version ${decision.version} of ${model}.`, ...notes]
    if (!input.flag('rollout')) return { json: change, text: text.join('\n') }
    const start = { version: decision.version, plan: 'default' }
    try {
      const rollout =
        server === null
          ? await startRollout(await context.database(), model, start, by, { signal: context.signal })
          : await server.ask(
              'POST',
              `/v1/models/${encodeURIComponent(model)}/rollout`,
              { ...start, reason: by.reason },
              rolloutChangeAnswer,
            )
      return { json: { ...change, rollout }, text: [...text, rolloutChangeText(rollout)].join('\n') }
    } catch (cause) {
      if (!(cause instanceof LockstepError)) throw cause
      throw new LockstepError(cause.code, `The decision is recorded, but its version was not rolled out: ${messageOf(cause)}`, {
        cause,
        ...(cause.details === undefined ? {} : { details: cause.details }),
      })
    }
  },
}
