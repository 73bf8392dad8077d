import { LockstepError } from '../../kernel/errors.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { removeModelAlias } from '../../registry/models/promote.ts'
import { aliasChangeAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../text/model-text.ts'
import type { Command } from '../command.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { promoteBody } from './model-promote.ts'
import { atOnceOption, datasetMismatchOption, promoteWithProgress, untriedOption } from '../promote-with-progress.ts'

export const modelAliasCommand: Command = {
  name: 'model alias',
  summary: 'Point an alias to a model version, or remove the alias',
  description: [
    'Requests can name a version by an alias. Without a champion, the newest version answers requests that name none.',
    'All running servers load the version first, as with "model promote".',
  ],
  arguments: [
    { name: 'MODEL@VERSION', help: 'The version; with --remove, the model.' },
    { name: 'ALIAS', help: 'The alias: champion, challenger, or any other name.' },
  ],
  options: {
    remove: { help: 'Remove the alias.' },
    reason: reasonOption,
    'at-once': atOnceOption,
    'dataset-mismatch': datasetMismatchOption,
    untried: untriedOption,
    server: serverOption,
  },
  example: 'lockstep model alias delay@4 challenger',
  async run(context, input) {
    const reference = input.argument('MODEL@VERSION')
    const alias = input.argument('ALIAS')
    const { model, version } = parseModelReference(reference)
    const removes = input.flag('remove')
    if (removes !== (version === undefined)) {
      const how = removes ? `write "lockstep model alias ${model} ${alias} --remove"` : `write "lockstep model alias ${model}@3 ${alias}"`
      throw new LockstepError('USAGE', `"${reference}" ${removes ? 'names a version' : 'does not name a version'}; ${how}.`)
    }
    const server = serverOf(context, input)
    if (server !== null) {
      const path = `/v1/models/${encodeURIComponent(model)}/aliases/${encodeURIComponent(alias)}`
      const change =
        version === undefined
          ? await server.ask('DELETE', `${path}${queryOf({ reason: input.text('reason') })}`, undefined, aliasChangeAnswer)
          : await server.ask('PUT', path, promoteBody(input, version), aliasChangeAnswer)
      return { json: change, text: aliasChangeText(change) }
    }
    const change =
      version === undefined
        ? await removeModelAlias(await context.database(), model, alias, actorOf(input))
        : await promoteWithProgress(context, input, { model, version, alias })
    return { json: change, text: aliasChangeText(change) }
  },
}
