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

// The child side of a `ModelProcess`. It holds at most one model and answers calls one at a time through a socket at
// file descriptor 3.

/** A load is measured up to this many times; the shortest time counts. */
const loads = 3
/** A model that loads more slowly than this is not loaded again to measure it. */
const slowLoadMs = 50

const socket = new Socket({ fd: 3 })
let session: ModelSession | null = null
let pieces: Buffer[] = []
// the first load in a process is slow, which would distort the measured load time
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
  // a copy, because the socket reuses its memory
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
      return await load(Buffer.concat(bytes), call)
    case 'profile':
      return await profileModel(loaded(), call)
    case 'run':
      return await loaded().run(call.feeds, call.fetches)
    case 'release':
      await session?.release()
      session = null
      return null
    default:
      return call satisfies never
  }
}

async function load(bytes: Buffer, { name, threads }: Extract<ModelProcessCall, { kind: 'load' }>): Promise<LoadAnswer> {
  // the file was validated when it was pushed, but possibly by an earlier version of Lockstep
  const what = `The file of the model "${name}"`
  const metadata = readMetadata(bytes, what)
  validateOnnx(metadata, what)
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < loads; i++) {
    await session?.release()
    session = null
    const before = process.cpuUsage()
    session = await openInlineSession(bytes, name, threads)
    const { user, system } = process.cpuUsage(before)
    // CPU time, because wall time says little on a busy machine
    least = Math.min(least, (user + system) / 1000)
    if (least > slowLoadMs) break
  }
  return { metadata: loaded().metadata, loadMs: least, valueDependentRunTime: metadata.valueDependentRunTime }
}

function loaded(): ModelSession {
  if (session === null) throw new LockstepError('INTERNAL', 'No model is loaded.')
  return session
}
