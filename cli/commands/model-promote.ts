import { LockstepError } from '../../kernel/errors.ts'
import { championAlias } from '../../registry/model-aliases.ts'
import { parseModelReference } from '../../registry/pick-version.ts'
import { reasonOption } from '../actor.ts'
import { aliasChangeText } from '../alias-change-text.ts'
import type { Command } from '../command.ts'
import { atOnceOption, datasetMismatchOption, promoteWithProgress, untriedOption } from '../promote-with-progress.ts'

export const modelPromoteCommand: Command = {
  name: 'model promote',
  summary: 'Serve a version of a model: make it the champion',
  description: [
    'Requests that name no version are answered by the champion, on every server from the next moment on. A version that cannot be served any more is refused, and so is one whose training set has other features than it is served with.',
    'All servers that run load the version first, for 30 seconds at most; where one cannot, nothing is changed.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number or an alias: delay@3, delay@challenger.' }],
  options: { reason: reasonOption, 'at-once': atOnceOption, 'dataset-mismatch': datasetMismatchOption, untried: untriedOption },
  example: 'lockstep model promote delay@3 --reason "better on June"',
  async run(context, input) {
    const reference = input.argument('MODEL@VERSION')
    const { model, version } = parseModelReference(reference)
    if (version === undefined) {
      throw new LockstepError('USAGE', `"${reference}" names no version; say which is to be the champion, as in "${model}@3".`)
    }
    const change = await promoteWithProgress(context, input, { model, version, alias: championAlias })
    return { json: change, text: aliasChangeText(change) }
  },
}
