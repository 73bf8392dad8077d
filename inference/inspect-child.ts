import { createSession } from './create-session.ts'
import { messageOf } from '../kernel/errors.ts'
import { tensorInfo } from './inline-session.ts'
import type { InspectAnswer } from './inspect-model.ts'

// The process that `inspectModel` starts: model bytes on standard input, one JSON document on standard output.
process.stdout.write(JSON.stringify(await inspect()))

async function inspect(): Promise<InspectAnswer> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  try {
    const { session } = await createSession(Buffer.concat(chunks), 1)
    return { inputs: session.inputMetadata.map(tensorInfo), outputs: session.outputMetadata.map(tensorInfo) }
  } catch (error) {
    return { error: messageOf(error).trim().replace(/\.?$/, '.') }
  }
}
