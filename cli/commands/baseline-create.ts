import { LockstepError } from '../../kernel/errors.ts'
import { requireBaseline } from '../../monitoring/baselines/baseline.ts'
import { baselineJson } from '../../monitoring/baselines/baseline-json.ts'
import { createOutputBaseline, createServedBaseline } from '../../monitoring/baselines/create-baseline.ts'
import { createTrainingBaseline } from '../../monitoring/baselines/create-training-baseline.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import { parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { durationOption } from '../duration-option.ts'
import { createJoinProgress } from '../join-progress.ts'
import { baselineText } from './baseline-show.ts'

export const baselineCreateCommand: Command = {
  name: 'baseline create',
  summary: 'Create or recreate the baseline of a model version',
  description: [
    'Workers create baselines within ten minutes. Use this command to create one now, or to replace one.',
    'The features come from the training set, whose rows are computed again from its manifest. The outputs are predictions for these rows. With --served, or without a training set, features and outputs come from the prediction log.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    served: {
      value: 'DURATION',
      help: 'Use logged predictions of this time up to now, such as 24h. Default without a training set: 24h.',
    },
  },
  streams: true,
  example: 'lockstep baseline create delay@3',
  async run(context, input) {
    const { model: name, version: wanted } = parseModelReference(input.argument('MODEL'))
    const catalog = await context.catalog()
    const version = pickVersion(catalog.model(name), wanted)
    const served = input.text('served')
    const db = await context.database()
    if (version.dataset === null || served !== undefined) {
      const to = Date.now() * 1000
      const since = durationOption('baseline create', 'served', served ?? '24h')
      const rows = await createServedBaseline({ db, catalog, log: context.log, signal: context.signal }, version, { from: to - since, to })
      if (rows === 0) throw nothingServed(version, served ?? '24h')
    } else {
      await fromTrainingSet(context, version, version.dataset)
    }
    const json = baselineJson(await requireBaseline(db, name, version.version))
    return { json, text: baselineText(json) }
  },
}

async function fromTrainingSet(context: Context, version: ModelVersion, id: string): Promise<void> {
  const [db, catalog] = [await context.database(), await context.catalog()]
  const dataset = await findDataset(db, id)
  const bar = createJoinProgress(context.terminal, { join: `Joining ${dataset.service} again`, write: 'Reading the training set' })
  try {
    await createTrainingBaseline(db, catalog.service(dataset.service), dataset, {
      signal: context.signal,
      onProgress: (progress) => bar.update(progress),
    })
  } finally {
    bar.end()
  }
  await createOutputBaseline({ db, catalog, log: context.log, signal: context.signal }, version)
}

function nothingServed({ model, version }: ModelVersion, since: string): LockstepError {
  return new LockstepError(
    'BASELINE_MISSING',
    `The prediction log has no rows of "${model}@${version}" in the last ${since}, so no baseline can be created. Push the version with --dataset, or log predictions (LOCKSTEP_LOG_PREDICTIONS).`,
    { details: { model, version } },
  )
}
