import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { deleteDatasetFiles } from '../../offline/datasets/delete-dataset-files.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { deleteTrainingSet } from '../../registry/delete-training-set.ts'
import { deletedDatasetAnswer } from '../../serving/protocols/http/data/dataset-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { deleteInSteps, deleteOptions } from '../delete-in-steps.ts'
import { bytes, counted } from '../text/human.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const datasetDeleteCommand: Command = {
  name: 'dataset delete',
  summary: 'Delete the record of a training set, and with --files its files',
  description: ['Refused while a model version refers to it, because the version would lose its lineage.'],
  arguments: [{ name: 'ID', help: 'The id of the training set, or its first characters.' }],
  options: { files: { help: 'Delete its files and its manifest too.' }, ...deleteOptions, reason: reasonOption, server: serverOption },
  example: 'lockstep dataset delete 3f0c2a --files',
  run: (context, input) =>
    deleteInSteps(context, input, {
      run: (dryRun) => deleteDataset(context, input, dryRun),
      text({ id, files, all }, done) {
        const paths = all.map(({ path }) => path).join(', ')
        const size = bytes(all.reduce((sum, file) => sum + file.bytes, 0))
        if (!done) {
          const what = `This deletes the record of the training set ${id}. No model version refers to it.`
          return `${what}\n${input.flag('files') ? 'It deletes its' : 'It leaves its'} ${counted(all.length, 'file')} (${size}): ${paths}`
        }
        return [
          `Deleted the record of the training set ${id}.`,
          ...files.map((path) => `Deleted ${path}.`),
          ...(files.length === 0 ? [`Its files were not deleted: ${paths}`] : []),
        ].join('\n')
      },
    }),
}

interface Deleted {
  readonly id: string
  /** The deleted files. */
  readonly files: readonly string[]
  readonly all: readonly { readonly path: string; readonly bytes: number }[]
}

async function deleteDataset(context: Context, input: Input, dryRun: boolean): Promise<Deleted> {
  const [wanted, withFiles, by] = [input.argument('ID'), input.flag('files'), actorOf(input)]
  const server = serverOf(context, input)
  if (server !== null) {
    const query = queryOf({ files: String(withFiles), dryRun: String(dryRun), reason: by.reason })
    const path = `/v1/datasets/${encodeURIComponent(wanted)}${query}`
    const { requestId: _, dryRun: __, ...deleted } = await server.ask('DELETE', path, undefined, deletedDatasetAnswer)
    return deleted
  }
  const db = await context.database()
  const dataset = await findDataset(db, wanted)
  const { id, manifest } = dataset
  const removeFiles = async (): Promise<readonly string[]> => (withFiles ? await deleteDatasetFiles(dataset) : [])
  const files = await deleteTrainingSet(db, id, by, removeFiles, { dryRun })
  return { id, files, all: filesOf(manifest).map(({ path, bytes: size }) => ({ path, bytes: size })) }
}
