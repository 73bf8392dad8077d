import { LockstepError } from '../../kernel/errors.ts'
import { startShadow } from '../../registry/rollouts/change-shadow.ts'
import { shadowChangeAnswer } from '../../serving/protocols/http/rollouts/shadow-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { parseShare } from '../text/rollout-text.ts'
import { shadowChangeText } from '../text/shadow-text.ts'
import { versionArgument } from '../version-argument.ts'

export const shadowStartCommand: Command = {
  name: 'shadow start',
  summary: 'Run a version beside the one that answers',
  description: [
    'The version also runs a share of the requests that name no version, after they are answered. Its answers are never sent. "shadow show" compares both versions.',
    'All running servers load the version first, for at most 30 seconds. If one cannot, nothing changes.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The candidate, by its number or an alias: delay@3, delay@challenger.' }],
  options: {
    share: { value: 'SHARE', help: 'The share of the requests: 20%, or 0.2. Required.' },
    unit: {
      value: 'FIELD',
      help: 'The field of the entities that decides which rows it runs, or request-id. Default: the first key column.',
    },
    tolerance: { value: 'NUMBER', help: 'Outputs that differ by more are counted. Default: 0.01.' },
    reason: reasonOption,
    server: serverOption,
  },
  example: 'lockstep shadow start delay@3 --share 20%',
  async run(context, input) {
    const { model, version } = versionArgument(input, 'to run')
    const wanted = input.text('share')
    if (wanted === undefined) throw new LockstepError('USAGE', `Say what share the candidate runs, such as "--share 20%".`)
    const [server, by] = [serverOf(context, input), actorOf(input)]
    const start = { version, share: parseShare(wanted), unit: input.text('unit'), tolerance: toleranceOf(input.text('tolerance')) }
    const change =
      server === null
        ? await startShadow(await context.database(), model, start, by, { signal: context.signal })
        : await server.ask('POST', `/v1/models/${encodeURIComponent(model)}/shadow`, { ...start, reason: by.reason }, shadowChangeAnswer)
    return { json: change, text: shadowChangeText(change) }
  },
}

function toleranceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const tolerance = text.trim() === '' ? Number.NaN : Number(text)
  if (tolerance >= 0 && Number.isFinite(tolerance)) return tolerance
  throw new LockstepError('USAGE', `The tolerance is "${text}"; write a number from 0 on, such as 0.01.`)
}
