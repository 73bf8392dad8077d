import { LockstepError } from '../../kernel/errors.ts'
import { replayDecision } from '../../monitoring/rollouts/replay.ts'
import { controllerActor } from '../../registry/rollouts/decisions.ts'
import type { RolloutDecision } from '../../registry/rollouts/decisions.ts'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import type { Command } from '../command.ts'

export const rolloutReplayCommand: Command = {
  name: 'rollout replay',
  summary: 'Repeat a decision from its stored evidence, and compare',
  description: [
    'Repeats a decision of the controller from the evidence that was stored with it. Fails if the decision, the gates of its reasons or their figures differ.',
  ],
  arguments: [
    { name: 'NAME', help: 'The model.' },
    {
      name: 'DECISION',
      help: 'The id of a decision, as "rollout show" has it. Default: all decisions of the controller.',
      takes: 'optional',
    },
  ],
  example: 'lockstep rollout replay delay 12',
  async run(context, input) {
    const [name, [wanted]] = [input.argument('NAME'), input.arguments('DECISION')]
    const model = (await context.catalog()).model(name)
    const { rollout, decisions } = await readRolloutHistory((await context.database()).kysely, model.name)
    if (rollout?.plan === null || rollout === null)
      throw new LockstepError('UNKNOWN_DEFINITION', `The last rollout of "${name}" has no plan, so no controller decided about it.`)
    const { plan } = rollout
    const chosen =
      wanted === undefined
        ? decisions.filter(({ by, evidence }) => by === controllerActor && evidence !== null)
        : [find(decisions, wanted, name)]
    const replayed = chosen.map((decision) => ({ decision: decision.id, ...replayDecision(plan, decision) }))
    const text = replayed.map(({ decision, action, reasons }) =>
      [`decision ${decision}: ${action}, as then`, ...reasons.map((reason) => `  ${reason}`)].join('\n'),
    )
    return { json: { model: name, replayed }, text: text.length === 0 ? 'The controller has decided nothing yet.' : text.join('\n') }
  },
}

function find(decisions: readonly RolloutDecision[], wanted: string, name: string): RolloutDecision {
  const found = decisions.find(({ id }) => String(id) === wanted)
  if (found !== undefined) return found
  throw new LockstepError('NOT_FOUND', `The rollout of "${name}" has no decision "${wanted}". "lockstep rollout show ${name}" lists them.`)
}
