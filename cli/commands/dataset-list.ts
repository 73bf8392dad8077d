import type { Command } from '../command.ts'
import { readDatasets, withoutManifest } from '../../offline/stored-datasets.ts'
import { count, moment } from '../human.ts'
import { table } from '../table.ts'

export const datasetListCommand: Command = {
  name: 'dataset list',
  summary: 'List training sets',
  example: 'lockstep dataset list',
  async run(context) {
    const datasets = await readDatasets(await context.database())
    const rows = datasets.map(({ id, service, createdAt, rows: length, path }) => [id, service, count(length), moment(createdAt), path])
    return {
      json: { datasets: datasets.map(withoutManifest) },
      text: rows.length === 0 ? 'There is no training set yet.' : table(['ID', 'SERVICE', 'ROWS', 'CREATED (UTC)', 'FILE'], rows),
    }
  },
}
