import { LockstepError } from '../../kernel/errors.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { rolloutChangeAnswer } from '../../serving/protocols/http/rollouts/rollout-answers.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { datasetMismatchOption } from '../promote-with-progress.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { readPlan } from '../read-plan.ts'
import { parseShare, rolloutChangeText } from '../text/rollout-text.ts'
import { versionArgument } from '../version-argument.ts'

export const rolloutStartCommand: Command = {
  name: 'rollout start',
  summary: 'Give a version a share of the requests of its model',
  description: [
    'The share applies to requests that name no version; the champion answers the rest. A hash of the unit decides for each row, so a unit always gets the same version. If the share grows, all units that have the candidate keep it.',
    'With a plan, a worker evaluates the gates every few seconds. It advances the rollout step by step and promotes the candidate at the end, or rolls it back.',
    'All running servers load the version first, for at most 30 seconds. If one cannot, nothing changes.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The candidate, by its number or an alias: delay@3, delay@challenger.' }],
  options: {
    share: { value: 'SHARE', help: 'The share of the candidate, which you change by hand: 5%, or 0.05. This or a plan is required.' },
    plan: {
      value: 'PLAN',
      help: 'Steps and gates by which a controller changes the share: default, blue-green, or a file that exports or holds a plan (.ts, .js, .json). none: by hand, as --share.',
    },
    unit: {
      value: 'FIELD',
      help: 'The field of the entities that decides, or request-id: each request gets one version. Default: the first key column.',
    },
    reason: reasonOption,
    'dataset-mismatch': datasetMismatchOption,
    server: serverOption,
  },
  example: 'lockstep rollout start delay@3 --plan default',
  async run(context, input) {
    const { model, version } = versionArgument(input, 'to roll out')
    const [wanted, named] = [input.text('share'), input.text('plan')]
    const plan = named === undefined || named === 'none' ? undefined : await readPlan(named)
    if (wanted === undefined && plan === undefined)
      throw new LockstepError('USAGE', `Say what share the candidate gets, such as "--share 5%", or name a plan, such as "--plan default".`)
    if (wanted !== undefined && plan !== undefined)
      throw new LockstepError('USAGE', 'Use "--share" or "--plan", and not both: the plan has the shares of its steps.')
    const [server, by] = [serverOf(context, input), actorOf(input)]
    const share = wanted === undefined ? undefined : parseShare(wanted)
    const start = { version, share, plan, unit: input.text('unit'), datasetMismatch: input.flag('dataset-mismatch') }
    const options = { signal: context.signal, allowPrivate: context.config.alertPrivateAddresses }
    const change =
      server === null
        ? await startRollout(await context.database(), model, start, by, options)
        : await server.ask('POST', `/v1/models/${encodeURIComponent(model)}/rollout`, { ...start, reason: by.reason }, rolloutChangeAnswer)
    return { json: change, text: rolloutChangeText(change) }
  },
}
