import { Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { readFrames, writeValue } from './frames.ts'
import { openInlineSession } from './inline-session.ts'
import { profileModel } from './profile-model.ts'
import type { ModelSession } from './model-session.ts'
import { readMetadata, validateOnnx } from './validate-onnx.ts'
import type { LoadAnswer, ModelProcessCall, ModelProcessReply } from './model-process.ts'
import { initializeOrt } from './initialize-ort.ts'

// The process of a `ModelProcess`: it holds one model at most, and answers calls one after the other, by a socket at descriptor 3.

/** Loads are timed again up to so often: the least of them tells. */
const loads = 3
/** A model that takes longer than this is not loaded again for the sake of its time. */
const slowLoadMs = 50

const socket = new Socket({ fd: 3 })
let session: ModelSession | null = null
let pieces: Buffer[] = []
// the first load of all takes longer than that of a small model
let turn = initializeOrt()

const watcher = new Worker(new URL(`./orphan-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url), {
  workerData: process.ppid,
})
watcher.unref()
socket.on('close', () => process.exit())
socket.on('error', () => process.exit())
readFrames(socket, {
  onValue(value) {
    const call = value as ModelProcessCall
    const bytes = pieces
    if (call.kind === 'load') pieces = []
    turn = turn.then(async () => writeValue(socket, await reply(call, bytes)))
  },
  // the memory is the socket's
  onBytes: (piece) => pieces.push(Buffer.from(piece)),
  onInvalid: () => process.exit(1),
})

async function reply(call: ModelProcessCall, bytes: readonly Buffer[]): Promise<ModelProcessReply> {
  try {
    return { id: call.id, answer: await answer(call, bytes) }
  } catch (error) {
    return { id: call.id, error: messageOf(error), code: error instanceof LockstepError ? error.code : 'INTERNAL' }
  }
}

async function answer(call: ModelProcessCall, bytes: readonly Buffer[]): Promise<unknown> {
  switch (call.kind) {
    case 'load':
      return await load(Buffer.concat(bytes), call.name)
    case 'profile':
      return await profileModel(loaded(), call)
    case 'run': {
      const { tensors, ms } = await loaded().run(call.feeds, call.fetches)
      const plain = Object.entries(tensors).map(([name, { type, dims, data }]) => [name, { type, dims, data }])
      return { tensors: Object.fromEntries(plain), ms }
    }
    case 'release':
      await session?.release()
      session = null
      return null
    default:
      return call satisfies never
  }
}

async function load(bytes: Buffer, name: string): Promise<LoadAnswer> {
  // what was pushed was refused already, but by the Lockstep of that day
  const what = `The file of the model "${name}"`
  const metadata = readMetadata(bytes, what)
  validateOnnx(metadata, what)
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < loads; i++) {
    await session?.release()
    session = null
    const before = process.cpuUsage()
    session = await openInlineSession(bytes, name)
    const { user, system } = process.cpuUsage(before)
    // of the processor, for the clock of a busy machine tells little
    least = Math.min(least, (user + system) / 1000)
    if (least > slowLoadMs) break
  }
  return { metadata: loaded().metadata, loadMs: least, valueDependentRunTime: metadata.valueDependentRunTime }
}

function loaded(): ModelSession {
  if (session === null) throw new LockstepError('INTERNAL', 'No model is loaded.')
  return session
}
