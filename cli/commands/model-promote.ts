import { championAlias } from '../../registry/models/model-aliases.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { aliasChangeAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { reasonOption } from '../actor.ts'
import { aliasChangeText } from '../text/model-text.ts'
import type { Command } from '../command.ts'
import type { Input } from '../input.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { atOnceOption, datasetMismatchOption, promoteWithProgress, untriedOption } from '../promote-with-progress.ts'
import { versionArgument } from '../version-argument.ts'

export const modelPromoteCommand: Command = {
  name: 'model promote',
  summary: 'Serve a version of a model: make it the champion',
  description: [
    'The champion answers requests that name no version, on every server at once. Refuses a version that can no longer be served, and a version whose training set has other features than it is served with.',
    'All running servers load the version first, for at most 30 seconds. If one cannot, nothing changes.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number or an alias: delay@3, delay@challenger.' }],
  options: {
    reason: reasonOption,
    'at-once': atOnceOption,
    'dataset-mismatch': datasetMismatchOption,
    untried: untriedOption,
    server: serverOption,
  },
  example: 'lockstep model promote delay@3 --reason "better on June"',
  async run(context, input) {
    const { model, version } = versionArgument(input, 'becomes the champion')
    const server = serverOf(context, input)
    const change =
      server === null
        ? await promoteWithProgress(context, input, { model, version, alias: championAlias })
        : await server.ask('POST', `/v1/models/${encodeURIComponent(model)}/promote`, promoteBody(input, version), aliasChangeAnswer)
    return { json: change, text: aliasChangeText(change) }
  },
}

/** The body of a request that points an alias to a version. */
export function promoteBody(input: Input, version: VersionReference): object {
  return {
    version,
    reason: input.text('reason'),
    atOnce: input.flag('at-once'),
    datasetMismatch: input.flag('dataset-mismatch'),
    untried: input.flag('untried'),
  }
}
