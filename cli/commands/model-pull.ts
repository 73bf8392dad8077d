import { readModelBytes } from '../../registry/models/model-versions.ts'
import { parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { bytes } from '../text/human.ts'
import type { Input } from '../input.ts'
import { downloadFile, localPath } from '../remote/download-file.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { writeOutput } from '../write-output.ts'
import { readServerVersion } from './model-show.ts'

export const modelPullCommand: Command = {
  name: 'model pull',
  summary: 'Write the ONNX file of a model version',
  description: [
    'Writes the bytes that were pushed, and compares them with their SHA-256. Without a version, takes the one that answers by default: the pinned version, else the champion, else the newest.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    out: { value: 'FILE', help: 'The file to write. Default: MODEL-VERSION.onnx.' },
    overwrite: { help: 'Replace an existing file.' },
    server: serverOption,
  },
  example: 'lockstep model pull delay@3 --out delay.onnx',
  async run(context, input) {
    const server = serverOf(context, input)
    const pulled = server === null ? await pull(context, input) : await pullFrom(context, input, server)
    const { model, version, path, sizeBytes, sha256 } = pulled
    return { json: pulled, text: `Wrote ${model}@${version} to ${path} (${bytes(sizeBytes)}); sha256 ${sha256}.` }
  },
}

interface Pulled {
  readonly model: string
  readonly version: number
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
}

async function pull(context: Context, input: Input): Promise<Pulled> {
  const { model, version: wanted } = parseModelReference(input.argument('MODEL'))
  const { version, sizeBytes, sha256 } = pickVersion((await context.catalog()).model(model), wanted)
  const overwrite = input.flag('overwrite')
  const path = absoluteName(outOf(input, model, version))
  if (!overwrite) await refuseExisting([path])
  await writeOutput(path, await readModelBytes(await context.database(), model, version), overwrite)
  return { model, version, path, sizeBytes, sha256 }
}

async function pullFrom(context: Context, input: Input, server: Server): Promise<Pulled> {
  const { answer } = await readServerVersion(server, input.argument('MODEL'))
  const { model, version, sizeBytes, sha256 } = answer
  const path = localPath(outOf(input, model, version))
  if (!input.flag('overwrite')) await refuseExisting([path])
  const from = `/v1/models/${encodeURIComponent(model)}/versions/${version}/file`
  const progress = context.terminal.progress(`Downloading ${model}@${version}`, 'bytes')
  let done = 0
  try {
    await downloadFile(server, { from, to: path, bytes: sizeBytes, sha256 }, (arrived) => progress.update((done += arrived), sizeBytes))
  } finally {
    progress.end()
  }
  return { model, version, path, sizeBytes, sha256 }
}

function outOf(input: Input, model: string, version: number): string {
  return input.text('out') ?? `${model}-${version}.onnx`
}
