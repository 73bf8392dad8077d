import { readFile } from 'node:fs/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { pushModel } from '../../registry/models.ts'
import { inspectModel } from '../../serving/inference/inspect-model.ts'
import type { Command } from '../command.ts'
import { bytes } from '../human.ts'
import { modelVersionJson } from '../model-json.ts'

export const modelPushCommand: Command = {
  name: 'model push',
  summary: 'Store an ONNX file as the next version of a model',
  description: [
    "The file's inputs and outputs are checked against the model's feature service first. The same file for the same service again is the same version.",
  ],
  arguments: [
    { name: 'NAME', help: 'The model, as the definitions file names it.' },
    { name: 'FILE', help: 'The ONNX file.' },
  ],
  options: { metadata: { value: 'JSON', help: 'An object to keep with the version.' } },
  example: `lockstep model push delay delay.onnx --metadata '{"auc": 0.71}'`,
  async run(context, input) {
    const metadata = metadataOf(input.text('metadata'))
    const file = input.argument('FILE')
    const content = await read(file)
    const db = await context.database()
    const contract = await inspectModel(content, { file })
    const { version, created, binding } = await pushModel(db, { model: input.argument('NAME'), bytes: content, contract, ...metadata })
    const label = `${version.model}@${version.version}`
    return {
      json: { ...modelVersionJson(version), created, unusedFeatures: binding.unused },
      text: [
        created
          ? `Stored ${file} (${bytes(version.sizeBytes)}) as ${label}, for ${version.service}; sha256 ${version.sha256}.`
          : `The file is ${label} already, pushed at ${version.createdAt.toISOString()}.`,
        ...(binding.unused.length > 0 ? [`note: the model takes no input from ${binding.unused.join(', ')}`] : []),
      ].join('\n'),
    }
  },
}

function metadataOf(text: string | undefined): { metadata?: Record<string, unknown> } {
  if (text === undefined) return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { metadata: { ...value } }
  } catch {
    // said below
  }
  throw new LockstepError('USAGE', `The option "--metadata" is "${text}", which is no JSON object; write it as '{"auc": 0.7}'.`)
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The model file "${file}" cannot be read: ${messageOf(cause)}. Give the path of an ONNX file.`,
      {
        cause,
        details: { path: file },
      },
    )
  }
}
