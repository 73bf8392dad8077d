import { LockstepError } from '../kernel/errors.ts'
import type { ModelContract } from '../registry/models/model-contract.ts'
import { inspectAnswerSchema } from './compare-outputs.ts'
import { readMetadata, validateOnnx } from './validate-onnx.ts'
import { spawnModelProcess } from './spawn-model-process.ts'

/** A usable model loads within a second or two. */
const defaultTimeoutMs = 60_000
const maxAnswerBytes = 16 * 2 ** 20

/**
 * Reads a model's inputs and outputs from its ONNX bytes. The bytes are loaded in a child process, so a file that
 * crashes or stalls ONNX Runtime cannot harm this process.
 *
 * @example const contract = await inspectModel(await readFile('delay.onnx'))
 * @param options.file the file name for error messages; `options.timeoutMs` defaults to 60 s
 * @throws LockstepError `MODEL_INVALID` if ONNX Runtime cannot load the bytes; the message says how to export the model
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
 * Returns null if the child ended without a valid answer. The answer is checked because the child loaded foreign bytes.
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
    // if the process cannot open more files, the child has no pipes, and 'error' reports it
    if (!child.stdin || !child.stdout) return
    let size = 0
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if ((size += chunk.length) > maxAnswerBytes) child.kill('SIGKILL')
    })
    // A child that died early closes its end of the pipe. The 'close' event reports how it ended.
    child.stdin.on('error', () => undefined)
    child.stdin.end(bytes)
  })
}
