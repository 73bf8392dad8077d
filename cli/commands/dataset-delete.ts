import { filesOf } from '../../offline/dataset-manifest.ts'
import { deleteDatasetFiles } from '../../offline/delete-dataset-files.ts'
import { deleteTrainingSet } from '../../registry/delete-training-set.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { findDataset } from '../../offline/stored-datasets.ts'

export const datasetDeleteCommand: Command = {
  name: 'dataset delete',
  summary: 'Delete the record of a training set, and with --files its files',
  description: ['Refused while a model version refers to it, because the version would lose its lineage.'],
  arguments: [{ name: 'ID', help: 'The id of the training set, or its first characters.' }],
  options: { files: { help: 'Delete its files and its manifest too.' }, reason: reasonOption },
  example: 'lockstep dataset delete 3f0c2a --files',
  async run(context, input) {
    const db = await context.database()
    const dataset = await findDataset(db, input.argument('ID'))
    const { id } = dataset
    const files = await deleteTrainingSet(db, id, actorOf(input), async () =>
      input.flag('files') ? await deleteDatasetFiles(dataset) : [],
    )
    const left = filesOf(dataset.manifest).map(({ path }) => path)
    return {
      json: { id, files },
      text: [
        `Deleted the record of the training set ${id}.`,
        ...files.map((path) => `Deleted ${path}.`),
        ...(files.length === 0 ? [`Its files were not deleted: ${left.join(', ')}`] : []),
      ].join('\n'),
    }
  },
}
