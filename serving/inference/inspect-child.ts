import { InferenceSession } from 'onnxruntime-node'
import type { TensorInfo } from '../../registry/model-contract.ts'
import { messageOf } from '../../kernel/errors.ts'
import type { InspectAnswer } from './inspect-model.ts'
import { sessionOptions } from './session-options.ts'

// The process that `inspectModel` starts: model bytes on standard input, one JSON document on standard output.
process.stdout.write(JSON.stringify(await inspect()))

async function inspect(): Promise<InspectAnswer> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  try {
    const session = await InferenceSession.create(Buffer.concat(chunks), sessionOptions)
    return { inputs: session.inputMetadata.map(describe), outputs: session.outputMetadata.map(describe) }
  } catch (error) {
    return { error: messageOf(error).trim().replace(/\.?$/, '.') }
  }
}

function describe(value: InferenceSession.ValueMetadata): TensorInfo {
  return value.isTensor
    ? { name: value.name, type: value.type, shape: value.shape, isTensor: true }
    : { name: value.name, type: 'other', shape: [], isTensor: false }
}
