import { filesOf } from '../../offline/dataset-manifest.ts'
import type { DatasetVerdict } from '../../offline/verify-dataset.ts'
import { verifyDataset } from '../../offline/verify-dataset.ts'
import type { Command } from '../command.ts'
import { findDataset } from '../datasets.ts'
import { counted } from '../human.ts'
import { createJoinProgress } from '../join-progress.ts'

function compared(order: DatasetVerdict['order']): string {
  return order === 'values' ? ', compared whatever their order, as the query of the spine asks for none' : ', in the same order'
}

export const datasetVerifyCommand: Command = {
  name: 'dataset verify',
  summary: 'Make a training set again from its manifest, and compare it with what it was',
  description: [
    'The same definitions and the same rows must give the same bytes. No file is written. Where something differs, it says what, and ends with exit code 1.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the training set, or the beginning of it.' }],
  streams: true,
  example: 'lockstep dataset verify 3f0c2a',
  async run(context, input) {
    const db = await context.database()
    const { manifest } = await findDataset(db, input.argument('ID'))
    const catalog = await context.catalog()
    const bar = createJoinProgress(context.terminal, { join: `Joining ${manifest.service.id} again`, write: 'Comparing the training set' })
    try {
      const verdict = await verifyDataset(db, manifest, (service) => catalog.service(service), {
        signal: context.signal,
        onProgress: (progress) => bar.update(progress),
      })
      const { equal, rebuilt, differences } = verdict
      const files = filesOf(manifest)
      const rows = files.reduce((sum, file) => sum + file.rows, 0)
      const again = files.every(({ sha256 }, i) => rebuilt?.[i]?.sha256 === sha256)
        ? ['It can be made again: the same bytes came of it.']
        : []
      return {
        json: verdict,
        text: equal
          ? `The training set ${manifest.id} is what its manifest says, and so ${files.length === 1 ? 'is its file' : 'are its files'}: made again, the same ${counted(rows, 'row')} came of it${compared(verdict.order)}.`
          : [`The training set ${manifest.id} is not what its manifest says.`, ...differences, ...again].join('\n'),
        exitCode: equal ? 0 : 1,
      }
    } finally {
      bar.end()
    }
  },
}
