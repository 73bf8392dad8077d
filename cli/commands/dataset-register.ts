import { LockstepError } from '../../kernel/errors.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import { pathOfManifest } from '../../offline/datasets/dataset-manifest.ts'
import { registerDataset } from '../../offline/datasets/register-dataset.ts'
import { openPlan } from '../../serving/engines/engine-plan.ts'
import type { Command } from '../command.ts'
import { bytes, counted } from '../text/human.ts'

export const datasetRegisterCommand: Command = {
  name: 'dataset register',
  summary: 'Register a training set that another engine has written, such as Spark',
  description: [
    'Reads all rows of the Parquet files in the folder once, for their hashes, the statistics of their columns and a baseline. Then "dataset list", "show" and "verify", lineage, "model push --dataset" and drift know the training set. Its manifest is written beside the folder.',
    'The folder must have the file "_SUCCESS", which engines write last.',
  ],
  arguments: [{ name: 'FOLDER', help: 'The folder of the Parquet files, or its URL such as s3://bucket/train.' }],
  options: {
    plan: { value: 'FILE', help: 'The plan that the engine used, as "export-plan" wrote it.', needed: true },
    time: { value: 'COLUMN', help: "The spine's time column.", needed: true },
    overwrite: { help: 'Replace the manifest of an earlier training set in the folder.' },
  },
  streams: true,
  example: 'lockstep dataset register s3://lake/train --plan plan.lockstep --time paid_at',
  async run(context, input) {
    const plan = await openPlan(input.needed('plan'))
    const service = (await context.catalog()).service(plan.service.id)
    if (service.fingerprint !== plan.service.fingerprint) {
      throw new LockstepError(
        'DEFINITIONS_INVALID',
        `The plan has another definition of "${service.id}" than the registry. Register the training set where the plan was exported.`,
        { details: { plan: plan.service.fingerprint, registry: service.fingerprint } },
      )
    }
    const { output } = plan.layout.finish
    const manifest = await registerDataset(await context.database(), service, {
      folder: input.argument('FOLDER'),
      time: input.needed('time'),
      rule: plan.rule,
      // the number of the row, then the features, then what the model answers
      outputs: output.slice(1 + service.features.length) as Column[],
      overwrite: input.flag('overwrite'),
      signal: context.signal,
    })
    const files = [manifest.file, ...manifest.otherFiles]
    const size = files.reduce((sum, file) => sum + file.bytes, 0)
    return {
      json: manifest,
      text: [
        `Registered ${counted(manifest.spine.rows, 'row')} of ${manifest.service.id} in ${manifest.path} (${counted(files.length, 'file')}, ${bytes(size)}).`,
        ...manifest.unchecked.map((sentence) => `note: ${sentence}`),
        `Its manifest is ${pathOfManifest(manifest)}, its id ${manifest.id}.`,
      ].join('\n'),
    }
  },
}
