import { LockstepError } from '../../kernel/errors.ts'
import { deleteModelVersion } from '../../registry/delete-model-version.ts'
import { displayName, labelOf } from '../../registry/definition.ts'
import { parseModelReference } from '../../registry/pick-version.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { bytes } from '../human.ts'

export const modelDeleteCommand: Command = {
  name: 'model delete',
  summary: 'Delete a version of a model that nothing serves',
  description: [
    'Refused while an alias points to it, or while it answers requests as the newest version of a model without a champion. Its number is never reused, because logged predictions and the history refer to it.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number: delay@3.' }],
  options: { reason: reasonOption },
  example: 'lockstep model delete delay@3 --reason "an experiment"',
  async run(context, input) {
    const reference = input.argument('MODEL@VERSION')
    const { model, version } = parseModelReference(reference)
    if (version === undefined)
      throw new LockstepError('USAGE', `"${reference}" does not name a version; say which one to delete, such as "${model}@3".`)
    const { deleted, freed, revision } = await deleteModelVersion(await context.database(), model, version, actorOf(input))
    const names = freed.map(labelOf)
    return {
      json: {
        model,
        version: deleted.version,
        sizeBytes: deleted.sizeBytes,
        freed: freed.map(({ kind, name, version: of }) => ({ kind, name, version: of })),
        revision,
      },
      text: [
        `Deleted ${model}@${deleted.version} (${bytes(deleted.sizeBytes)}).`,
        ...(freed.length === 0
          ? []
          : [
              `No model needs these any more: ${freed.map(displayName).join(', ')}. To retire those that are not in your definitions file: lockstep prune ${names.join(' ')}`,
            ]),
      ].join('\n'),
    }
  },
}
