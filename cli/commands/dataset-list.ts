import { datasetsAnswer } from '../../serving/protocols/http/data/dataset-schemas.ts'
import type { Command } from '../command.ts'
import { readDatasets, withoutManifest } from '../../offline/datasets/stored-datasets.ts'
import { count, moment } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const datasetListCommand: Command = {
  name: 'dataset list',
  summary: 'List training sets',
  example: 'lockstep dataset list',
  options: { server: serverOption },
  async run(context, input) {
    const server = serverOf(context, input)
    const datasets =
      server === null
        ? (await readDatasets(await context.database())).map(withoutManifest)
        : (await server.ask('GET', '/v1/datasets', undefined, datasetsAnswer)).datasets
    const rows = datasets.map(({ id, service, createdAt, rows: length, paths }) => [
      id,
      service,
      count(length),
      moment(new Date(createdAt)),
      paths.join(', '),
    ])
    return {
      json: { datasets },
      text: rows.length === 0 ? 'There is no training set yet.' : table(['ID', 'SERVICE', 'ROWS', 'CREATED (UTC)', 'FILES'], rows),
    }
  },
}
