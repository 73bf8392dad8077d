import { LockstepError } from '../../kernel/errors.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { evaluateVersions } from '../../serving/evaluation/evaluate-versions.ts'
import { evaluatedFile, evaluatedVersion } from '../../serving/evaluation/evaluated-model.ts'
import { datasetParts, rowsOfDataset } from '../../serving/evaluation/labelled-rows.ts'
import type { Command } from '../command.ts'
import { evaluationText } from '../text/evaluation-text.ts'
import { readModelFile } from '../read-model-file.ts'

export const modelEvaluateCommand: Command = {
  name: 'model evaluate',
  summary: 'Compare versions of a model on rows with labels',
  description: [
    'Runs each version on the feature values of a training set or of a file, as a server does, and compares its output with a label column of the same rows. Shows the same figures as "quality".',
    'All versions run on the same rows. So differences have paired intervals, which are narrower than those of the figures.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or some versions of it: delay@3, delay@3,4, delay@challenger.' }],
  options: {
    label: { value: 'COLUMN', help: 'The column with the label of each row: yes or no, a number, or a class.', needed: true },
    dataset: { value: 'ID', help: 'The training set with the rows. The first characters of its id are enough.' },
    part: { value: 'PART', choices: datasetParts, help: 'The part of a split training set. Default: test, or all if it is not split.' },
    file: {
      value: 'FILE',
      help: 'A file with the rows in place of a training set: .parquet, .csv or .jsonl. It may be in object storage.',
    },
    time: { value: 'COLUMN', help: 'The time column of the file, for --by day, if it has several.' },
    candidate: { value: 'FILE', help: 'An ONNX file that is not pushed yet, evaluated as the next version.' },
    against: { value: 'VERSION', help: 'What versions are compared with: 3, delay@3, champion. Default: the first of several versions.' },
    output: { value: 'NAME', help: 'The output to compare with the label. Needed only if the model has several.' },
    threshold: { value: 'NUMBER', help: 'The least score of a positive decision. Default: that of the model, or 0.5.' },
    by: { value: 'LIST', help: 'Splits the figures: day, declared slices, columns of the rows; amount:10|100 gives the bins of a number.' },
  },
  streams: true,
  example: 'lockstep model evaluate delay@4 --against champion --dataset 3f0c2a --label late',
  async run(context, input) {
    const named = input.argument('MODEL')
    const [name = '', list] = named.split('@', 2)
    const candidate = input.text('candidate')
    const references = list === undefined ? [named] : list.split(',').map((version) => `${name}@${version}`)
    const asked = references.map(parseModelReference)
    const [dataset, file, part] = [input.text('dataset'), input.text('file'), input.choice('part', datasetParts)]
    if ((dataset === undefined) === (file === undefined) || (part !== undefined && dataset === undefined)) {
      throw new LockstepError('USAGE', 'Name the rows: either --dataset ID, with or without --part, or --file FILE.')
    }
    const [against, threshold] = [input.text('against'), thresholdOf(input.text('threshold'))]
    const [db, catalog] = [await context.database(), await context.catalog()]
    const model = catalog.model(name)
    const rows =
      dataset === undefined
        ? { files: [file ?? ''], dataset: null, time: input.text('time') ?? null }
        : await rowsOfDataset(db, dataset, part)
    const versions =
      candidate === undefined || list !== undefined ? asked.map(({ version }) => evaluatedVersion(db, catalog, name, version)) : []
    if (candidate !== undefined)
      versions.push(await evaluatedFile(catalog, name, { bytes: await readModelFile(candidate), file: candidate }))
    const progress = context.terminal.progress(`Evaluating ${name}`, 'rows')
    try {
      const evaluation = await evaluateVersions(
        { db, log: context.log },
        {
          model,
          versions,
          against: against === undefined ? undefined : evaluatedVersion(db, catalog, name, againstOf(name, against)),
          rows,
          label: input.needed('label'),
          output: input.text('output'),
          threshold,
          by:
            input
              .text('by')
              ?.split(',')
              .filter((each) => each !== '') ?? [],
          signal: context.signal,
          onProgress: (done) => progress.update(done, null),
        },
      )
      return { json: evaluation, text: evaluationText(evaluation) }
    } finally {
      progress.end()
    }
  },
}

/**
 * The version that `3`, `champion` or `delay@3` names.
 *
 * @throws LockstepError `USAGE` if it is a version of another model
 */
function againstOf(name: string, text: string): VersionReference | undefined {
  const { model, version } = parseModelReference(text.includes('@') ? text : `${name}@${text}`)
  if (model === name) return version
  throw new LockstepError('USAGE', `The option "--against" is "${text}", a version of another model; name a version of "${name}".`)
}

/** @throws LockstepError `USAGE` */
function thresholdOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const number = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(number)) return number
  throw new LockstepError('USAGE', `The option "--threshold" is "${text}"; write a number, such as 0.5.`)
}
