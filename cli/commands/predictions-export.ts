import { LockstepError } from '../../kernel/errors.ts'
import type { DatasetWriter } from '../../offline/files/dataset-writer.ts'
import { createDatasetWriter, formatOf } from '../../offline/files/dataset-writer.ts'
import { exportColumns, exportPredictions, otherServices } from '../../monitoring/prediction-log/export-predictions.ts'
import { storedServices } from '../../registry/stored-services.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { bytes, counted } from '../human.ts'

export const predictionsExportCommand: Command = {
  name: 'predictions export',
  summary: "Write a model's logged predictions to a file, with typed columns",
  description: [
    'The columns are the keys, request values and features of the feature service, the outputs as output__NAME, and _at, _request_id, _prediction_id, _entity, _version and _as_of.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: {
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl.', needed: true },
    service: { value: 'SERVICE', help: "The feature service of the predictions, as name@version. Default: the model's current one." },
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 24h.' },
    overwrite: { help: 'Replace an existing file.' },
  },
  streams: true,
  example: 'lockstep predictions export delay --since 7d --out served.parquet',
  async run(context, input) {
    const out = input.needed('out')
    const [format, overwrite] = [formatOf(out), input.flag('overwrite')]
    const since = durationOption('predictions export', 'since', input.text('since') ?? '24h')
    const db = await context.database()
    const { name, spec } = (await context.catalog()).model(input.argument('MODEL'))
    const wanted = input.text('service') ?? spec.service
    const service = [...(await storedServices(db)).values()].find(({ id }) => id === wanted)
    if (service === undefined) {
      throw new LockstepError('UNKNOWN_DEFINITION', `There is no feature service "${wanted}" in the registry; give it as name@version.`, {
        details: { kind: 'feature service', name: wanted },
      })
    }
    const until = Date.now() * 1000
    const query = { model: name, service, outputs: spec.output, since: until - since, until }
    let writer: DatasetWriter | null = null
    try {
      const opened = (writer = await createDatasetWriter(out, exportColumns(query), { format, overwrite }))
      await db.snapshot(async (snapshot) => {
        for await (const batch of exportPredictions(snapshot, query)) {
          context.signal.throwIfAborted()
          await opened.write(batch)
        }
      })
      const file = await opened.close()
      const others = await otherServices(db, query)
      return {
        json: { model: name, service: service.id, path: out, ...file, others },
        text: [
          `Wrote ${counted(file.rows, 'logged prediction')} of ${name}, from ${service.id}, to ${out} (${bytes(file.bytes)}).`,
          ...others.map(
            ({ id, rows }) =>
              `note: ${counted(rows, 'logged prediction')} of that time ${rows === 1 ? 'is' : 'are'} from ${id} and not in the file: use --service ${id}`,
          ),
        ].join('\n'),
      }
    } catch (error) {
      await writer?.abort()
      throw error
    }
  },
}
