import { LockstepError } from '../../kernel/errors.ts'
import { planExperiment } from '../../monitoring/experiments/plan-experiment.ts'
import { declaredExperiment } from '../../registry/experiments/declared-experiment.ts'
import { experimentPlanAnswer } from '../../serving/protocols/http/experiments/experiment-plan-schema.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { experimentPlanText } from '../text/experiment-plan-text.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { parseShare } from '../text/rollout-text.ts'

const defaultSince = '28d'

export const experimentPlanCommand: Command = {
  name: 'experiment plan',
  summary: 'Show which effects an experiment can find, and how many units and days that takes',
  description: [
    'Computes the primary metric for the units of the prediction log, as if each had been exposed at its first prediction, and the days by the traffic in the log. Needs LOCKSTEP_LOG_PREDICTIONS.',
  ],
  arguments: [{ name: 'NAME', help: 'The experiment, as it is declared.' }],
  options: {
    effect: { value: 'SHARE', help: 'The effect to find, as a share of the metric: 2%, or 0.02.' },
    power: { value: 'SHARE', help: 'The chance to find it. Default: 80%.' },
    since: { value: 'DURATION', help: `How far back to look, such as 14d. Default: ${defaultSince}.` },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep experiment plan offers --effect 2%',
  async run(context, input) {
    const name = input.argument('NAME')
    const [effectText, powerText] = [input.text('effect'), input.text('power')]
    const effect = effectText === undefined ? null : parseShare(effectText)
    const power = powerText === undefined ? 0.8 : parseShare(powerText)
    if (effect === 0) throw new LockstepError('USAGE', 'No number of units finds an effect of 0; write one such as "--effect 2%".')
    if (!(power > 0.05 && power < 1)) throw new LockstepError('USAGE', `The power is "${powerText}"; write a share such as "--power 80%".`)
    const since = durationOption('experiment plan', 'since', input.text('since') ?? defaultSince)
    const server = serverOf(context, input)
    if (server !== null) {
      const query = queryOf({ power, since: input.text('since') ?? defaultSince, effect: effect ?? undefined })
      const path = `/v1/experiments/${encodeURIComponent(name)}/plan${query}`
      const plan = await server.ask('GET', path, undefined, experimentPlanAnswer)
      return { json: plan, text: experimentPlanText(plan) }
    }
    const db = await context.database()
    const { spec, coverage } = await declaredExperiment(db, name)
    const asOf = Date.now() * 1000
    const progress = context.terminal.progress(`Planning ${name}`, 'lookups')
    try {
      const plan = await planExperiment(
        db,
        await context.catalog(),
        spec,
        { coverage, from: asOf - since, asOf, effect, power },
        { signal: context.signal, onUnits: (done, total) => progress.update(done, total) },
      )
      return { json: plan, text: experimentPlanText(plan) }
    } finally {
      progress.end()
    }
  },
}
