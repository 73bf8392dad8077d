import { LockstepError } from '../kernel/errors.ts'
import type { ModelContract } from '../registry/model-contract.ts'
import { inspectAnswerSchema } from './compare-outputs.ts'
import { readMetadata, validateOnnx } from './validate-onnx.ts'
import { spawnModelProcess } from './spawn-model-process.ts'

/** Loading takes milliseconds to a second or two; a file that takes longer is not one to serve. */
const defaultTimeoutMs = 60_000
const maxAnswerBytes = 16 * 2 ** 20

/**
 * What goes into a model and what comes out, read from its ONNX bytes. The bytes are loaded in a child process, so a file that crashes or
 * stalls the runtime costs the child alone.
 *
 * @example const contract = await inspectModel(await readFile('delay.onnx'))
 * @param options.file what errors name, where the bytes are of a file; `options.timeoutMs` 60 s where it is not given
 * @throws LockstepError `MODEL_INVALID` where the bytes are not a model that ONNX Runtime can load, saying how to export one that it can
 */
export async function inspectModel(
  bytes: Uint8Array,
  { file, timeoutMs = defaultTimeoutMs }: { readonly file?: string; readonly timeoutMs?: number } = {},
): Promise<ModelContract> {
  const what = file === undefined ? 'The model file' : `The model file "${file}"`
  if (bytes.length === 0) throw new LockstepError('MODEL_INVALID', `${what} is empty; export the model to ONNX and push that file.`)
  validateOnnx(readMetadata(bytes, what), what)
  const { output, end } = await runChild(bytes, timeoutMs)
  const answer = parseAnswer(output)
  if (answer === null) {
    throw new LockstepError('MODEL_INVALID', `${what} cannot be loaded: ONNX Runtime ended with ${end}. Export the model to ONNX again.`)
  }
  if ('error' in answer) {
    throw new LockstepError(
      'MODEL_INVALID',
      `${what} is not an ONNX model that can be loaded: ${answer.error} Export the model to ONNX and push that file.`,
    )
  }
  return answer
}

/** What the child writes to its standard output. */
export type InspectAnswer = ModelContract | { readonly error: string }

/**
 * null: the child ended without an answer, or with something else. What it says is as foreign as the bytes that it
 * loaded.
 */
function parseAnswer(output: string): InspectAnswer | null {
  try {
    return inspectAnswerSchema.safeParse(JSON.parse(output)).data ?? null
  } catch {
    return null
  }
}

function runChild(bytes: Uint8Array, timeoutMs: number): Promise<{ output: string; end: string }> {
  return new Promise((resolve, reject) => {
    const child = spawnModelProcess('inspect-child', ['pipe', 'pipe', 'ignore'])
    const chunks: Buffer[] = []
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.on('error', (cause) => {
      clearTimeout(timer)
      reject(new LockstepError('INTERNAL', `The process that inspects models could not start: ${cause.message}.`, { cause }))
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const end = timedOut ? `no answer after ${timeoutMs} ms` : signal === null ? `exit code ${code}` : `signal ${signal}`
      resolve({ output: Buffer.concat(chunks).toString('utf8'), end })
    })
    // where no more files can be opened, it has no pipes: 'error' tells
    if (!child.stdin || !child.stdout) return
    let size = 0
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if ((size += chunk.length) > maxAnswerBytes) child.kill('SIGKILL')
    })
    // A child that died early closes its end of the pipe; how it ended is told by 'close'.
    child.stdin.on('error', () => undefined)
    child.stdin.end(bytes)
  })
}
