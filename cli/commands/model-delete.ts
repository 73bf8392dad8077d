import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import { displayName, labelOf } from '../../registry/definition.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { deletedVersionAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { deleteInSteps, deleteOptions } from '../delete-in-steps.ts'
import { bytes } from '../text/human.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { versionArgument } from '../version-argument.ts'

export const modelDeleteCommand: Command = {
  name: 'model delete',
  summary: 'Delete a version of a model that nothing serves',
  description: [
    'Refused while an alias points to it, or while it answers requests as the newest version of a model without a champion. Its number is never reused, because logged predictions and the history refer to it.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number: delay@3.' }],
  options: { ...deleteOptions, reason: reasonOption, server: serverOption },
  example: 'lockstep model delete delay@3 --reason "an experiment"',
  async run(context, input) {
    const { model, version } = versionArgument(input, 'to delete')
    return await deleteInSteps(context, input, {
      run: (dryRun) => deleteVersion(context, input, model, version, dryRun),
      text({ version: number, sizeBytes, freed }, done) {
        const names = freed.map(labelOf)
        const file = `${model}@${number} (${bytes(sizeBytes)})`
        return [
          done ? `Deleted ${file}.` : `This deletes ${file}. Nothing serves it.`,
          ...(freed.length === 0
            ? []
            : [
                `No model needs these ${done ? 'any more' : 'afterwards'}: ${freed.map(displayName).join(', ')}. To retire those that are not in your definitions file: lockstep prune ${names.join(' ')}`,
              ]),
        ].join('\n')
      },
    })
  },
}

interface Deleted {
  readonly model: string
  readonly version: number
  readonly sizeBytes: number
  readonly freed: readonly Parameters<typeof displayName>[0][]
  readonly revision: number
}

async function deleteVersion(context: Context, input: Input, model: string, wanted: VersionReference, dryRun: boolean): Promise<Deleted> {
  const by = actorOf(input)
  const server = serverOf(context, input)
  if (server !== null) {
    const query = queryOf({ dryRun: String(dryRun), reason: by.reason })
    const path = `/v1/models/${encodeURIComponent(model)}/versions/${encodeURIComponent(wanted)}${query}`
    const { requestId: _, dryRun: __, ...deleted } = await server.ask('DELETE', path, undefined, deletedVersionAnswer)
    return deleted
  }
  const { deleted, freed, revision } = await deleteModelVersion(await context.database(), model, wanted, by, { dryRun })
  return {
    model,
    version: deleted.version,
    sizeBytes: deleted.sizeBytes,
    freed: freed.map(({ kind, name, version: of }) => ({ kind, name, version: of })),
    revision,
  }
}
