import { existsSync } from 'node:fs'
import { defined } from '../../kernel/defined.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { DatasetWriter } from '../../offline/files/dataset-writer.ts'
import { createDatasetWriter, formatOf } from '../../offline/files/dataset-writer.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { predictSpine } from '../../serving/predict/predict-spine.ts'
import type { Command } from '../command.ts'
import { createJoinProgress, heldBackNotes } from '../join-progress.ts'
import { bytes, count, counted, duration } from '../text/human.ts'
import { spineInput } from '../spine-option.ts'

const bounds = ['at', 'before'] as const

export const predictCommand: Command = {
  name: 'predict',
  summary: "Write a model's predictions for every row of a spine, as of the row's time",
  description: [
    'Features are computed as for a training set, and the model runs as on a server. The spine is a file (.parquet, .csv, .jsonl) or a SQL query, as for "dataset create".',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    spine: { value: 'FILE|SQL', help: 'The rows to predict for.', needed: true },
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl.', needed: true },
    version: { value: 'N', help: 'The version of the model. Default: the champion, or the newest version if there is none.' },
    time: { value: 'COLUMN', help: "The spine's time column, if it has several." },
    columns: { value: 'A,B,…', help: 'The columns of the spine to copy. Default: all.' },
    'as-of': { value: 'BOUND', choices: bounds, help: '"at" (the default) or "before", as for "dataset create".' },
    overwrite: { help: 'Replace an existing file.' },
  },
  streams: true,
  example: 'lockstep predict delay --spine june.parquet --out predictions.parquet',
  async run(context, input) {
    const started = performance.now()
    const out = input.needed('out')
    const overwrite = input.flag('overwrite')
    if (existsSync(out) && !overwrite) {
      throw new LockstepError('FILE_EXISTS', `The file "${out}" exists; give another name, or --overwrite.`, { details: { path: out } })
    }
    const format = formatOf(out)
    const named = parseModelReference(input.argument('MODEL'))
    const [time, bound] = [input.text('time'), input.choice('as-of', bounds)]
    const columns = input
      .text('columns')
      ?.split(',')
      .map((name) => name.trim())
    const version = input.count('version', 1) ?? named.version
    const bar = createJoinProgress(context.terminal, { join: 'Joining the features', write: 'Predicting' })
    let writer: DatasetWriter | null = null
    try {
      const summary = await predictSpine(
        await context.database(),
        await context.catalog(),
        {
          model: named.model,
          spine: spineInput(input.needed('spine')),
          signal: context.signal,
          log: context.log,
          onProgress: (progress) => bar.update(progress),
          ...defined({ version, time, bound, columns }),
        },
        async (batch) => {
          writer ??= await createDatasetWriter(out, [...batch.columns, ...batch.outputs], { format, overwrite })
          await writer.write([...batch.spine, ...batch.predictions])
        },
      )
      // without rows there was no batch, and the file has only its columns
      writer ??= await createDatasetWriter(out, [...summary.columns, ...summary.outputs], { format, overwrite })
      const file = await writer.close()
      const predictions = file.rows - summary.refused
      const seconds = (performance.now() - started) / 1000
      const model = `${summary.version.model}@${summary.version.version}`
      return {
        json: {
          model: summary.version.model,
          version: summary.version.version,
          service: summary.service.id,
          predictions,
          refused: summary.refused,
          heldBackRows: summary.heldBackRows,
          path: out,
          ...file,
          seconds,
        },
        text: [
          `Wrote ${counted(predictions, 'prediction')} of ${model} to ${out} (${bytes(file.bytes)}) in ${duration(seconds * 1000)} (${count(file.rows / seconds)} rows/s).`,
          ...(summary.refused > 0
            ? [`note: ${counted(summary.refused, 'more row')} without a prediction, because a required feature is missing`]
            : []),
          ...heldBackNotes(summary.heldBackRows),
        ].join('\n'),
      }
    } catch (error) {
      await abort(writer)
      throw error
    } finally {
      bar.end()
    }
  },
}

async function abort(writer: DatasetWriter | null): Promise<void> {
  await writer?.abort()
}
