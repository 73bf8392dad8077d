import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import type { DatasetVerdict } from '../../offline/datasets/verify-dataset.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import type { Command } from '../command.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import { counted } from '../text/human.ts'
import { createJoinProgress } from '../join-progress.ts'

function compared(order: DatasetVerdict['order']): string {
  return order === 'values' ? ', compared in any order, because the query of the spine has no order' : ', in the same order'
}

function equalText(manifest: DatasetManifest, { order }: DatasetVerdict): string {
  const files = filesOf(manifest)
  if (manifest.engine?.name === 'external')
    return `The training set ${manifest.id} matches its manifest: its ${counted(files.length, 'file')} and the definitions are the same. Another engine made its rows, so they were not recreated.`
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  return `The training set ${manifest.id} matches its manifest, and so ${files.length === 1 ? 'does its file' : 'do its files'}: recreating it gave the same ${counted(rows, 'row')}${compared(order)}.`
}

export const datasetVerifyCommand: Command = {
  name: 'dataset verify',
  summary: 'Recreate a training set from its manifest, and compare it with the original',
  description: [
    'The same definitions and the same rows must give the same bytes. No file is written. If something differs, the command says what, and exits with 1.',
    'For a set that another engine has written ("dataset register"), the command compares only the files and the definitions.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the training set, or its first characters.' }],
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
      const again = files.every(({ sha256 }, i) => rebuilt?.[i]?.sha256 === sha256)
        ? ['It can be recreated: the result has the same bytes.']
        : []
      return {
        json: verdict,
        text: equal
          ? equalText(manifest, verdict)
          : [`The training set ${manifest.id} does not match its manifest.`, ...differences, ...again].join('\n'),
        exitCode: equal ? 0 : 1,
      }
    } finally {
      bar.end()
    }
  },
}
