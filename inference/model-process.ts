import type { ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import type { ErrorCode } from '../kernel/errors.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ModelMetadata } from './check-feeds.ts'
import { readFrames, writeBytes, writeValue } from './frames.ts'
import type { ProfileOptions, ModelProfile } from './profile-model.ts'
import { isRunResult, loadAnswerSchema, profileSchema, replySchema } from './compare-outputs.ts'
import type { RunResult } from './model-session.ts'
import { spawnModelProcess } from './spawn-model-process.ts'
import type { Tensors } from './tensor-value.ts'

/** A child process that holds at most one model. It ends when this process ends for any reason. */
export interface ModelProcess {
  /** Undefined if the process could not start. */
  readonly pid: number | undefined
  /**
   * @param threads how many threads a run may use; default 1
   * @throws LockstepError `MODEL_INVALID` if the bytes do not load, `MODEL_TIMEOUT`, `MODEL_UNAVAILABLE`
   */
  load(bytes: Uint8Array, name: string, timeoutMs: number, threads?: number): Promise<LoadAnswer>
  profile(options: ProfileOptions, timeoutMs: number): Promise<ModelProfile>
  /** @throws LockstepError `MODEL_FAILED`, `MODEL_TIMEOUT`, `MODEL_UNAVAILABLE` */
  run(feeds: Tensors, fetches: readonly string[], timeoutMs: number): Promise<RunResult>
  /** Unloads the model, so that another can be loaded. */
  release(): Promise<void>
  /** Whether the process is running. */
  alive(): boolean
  kill(): void
}

export interface LoadAnswer {
  readonly metadata: ModelMetadata
  /** The shortest load time in a process with an initialized runtime, CPU milliseconds. */
  readonly loadMs: number
  /** See `OnnxMetadata`. */
  readonly valueDependentRunTime: boolean
}

export type ModelProcessCall = { readonly id: number } & (
  | { readonly kind: 'load'; readonly name: string; readonly threads: number }
  | ({ readonly kind: 'profile' } & ProfileOptions)
  | { readonly kind: 'run'; readonly feeds: Tensors; readonly fetches: readonly string[] }
  | { readonly kind: 'release' }
)

export type ModelProcessReply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string; readonly code: ErrorCode }

type Body = ModelProcessCall extends infer Call ? (Call extends ModelProcessCall ? Omit<Call, 'id'> : never) : never

interface Pending {
  readonly timeoutMs: number
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: LockstepError) => void
}

const releaseTimeoutMs = 5000

/** Starts a model process. A call that exceeds its timeout kills the process, and all waiting calls fail. */
export function startModelProcess(): ModelProcess {
  const child = spawnModelProcess('model-process-child', ['ignore', 'ignore', 'ignore', 'pipe'])
  // registered first: if the process cannot open more files, the child has no pipes and emits only this event
  child.on('error', (cause) => end(gone(`could not start: ${cause.message}`)))
  const pipes = child.stdio as ChildProcess['stdio'] | undefined
  const socket = pipes === undefined ? new Socket().destroy() : (pipes[3] as Socket)
  /** Calls in the order in which the child answers them. */
  const pending = new Map<number, Pending>()
  let name = ''
  let last = 0
  let timer: NodeJS.Timeout | null = null
  let ended: LockstepError | null = null

  keepNothingOpen(child, socket)
  child.on('exit', (code, signal) => end(gone(signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`)))
  // the 'exit' event reports how the process ended
  socket.on('error', () => undefined)
  const onValue = (value: unknown): void => {
    const reply: ModelProcessReply | undefined = replySchema.safeParse(value).data
    if (reply === undefined) {
      endAsStrange()
      return
    }
    const call = pending.get(reply.id)
    pending.delete(reply.id)
    watchFirst()
    if ('answer' in reply) call?.resolve(reply.answer)
    else call?.reject(new LockstepError(reply.code, reply.error, { details: { model: name } }))
  }
  readFrames(socket, { onValue, onInvalid: () => void endAsStrange() })

  /** Starts the timeout of the call that is being answered. */
  function watchFirst(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    const [first] = pending.values()
    if (first === undefined) return
    timer = setTimeout(() => {
      const message = `The model "${name}" did not answer within ${first.timeoutMs} ms, so its process was killed and is restarted. Raise the "timeout" in the model's definition, or push a faster version.`
      end(new LockstepError('MODEL_TIMEOUT', message, { details: { model: name, timeoutMs: first.timeoutMs } }))
      child.kill('SIGKILL')
    }, first.timeoutMs)
  }

  function gone(how: string, details: Record<string, unknown> = {}): LockstepError {
    return new LockstepError('MODEL_UNAVAILABLE', `The process that runs the model "${name}" ${how}; send the request again.`, {
      details: { model: name, ...details },
    })
  }

  /** An invalid message means that the loaded file has taken control of the process. */
  function endAsStrange(): LockstepError {
    const error = gone('sent an invalid answer, so it was killed')
    end(error)
    child.kill('SIGKILL')
    return error
  }

  /** The current call fails with the error. Calls behind it have not started, so they can be retried. */
  function end(error: LockstepError): void {
    if (ended !== null) return
    ended = error
    if (timer !== null) clearTimeout(timer)
    const [first, ...behind] = pending.values()
    pending.clear()
    socket.destroy()
    first?.reject(error)
    for (const call of behind) call.reject(gone('ended during an earlier run', { behind: true }))
  }

  /** @param bytes sent before the call; writing them counts against the timeout */
  function call(body: Body, timeoutMs: number, bytes?: Uint8Array): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (ended !== null) return reject(ended)
      const id = ++last
      pending.set(id, { timeoutMs, resolve, reject })
      if (pending.size === 1) watchFirst()
      const send = () => writeValue(socket, { id, ...body })
      if (bytes === undefined) send()
      else void writeBytes(socket, bytes).then(send)
    })
  }

  return {
    pid: child.pid,
    async load(bytes, model, timeoutMs, threads = 1) {
      name = model
      const answer = await call({ kind: 'load', name: model, threads }, timeoutMs, bytes)
      const { data } = loadAnswerSchema.safeParse(answer)
      if (data === undefined) throw endAsStrange()
      return data
    },
    async profile(options, timeoutMs) {
      const answer = await call({ kind: 'profile', ...options }, timeoutMs)
      const { data } = profileSchema.safeParse(answer)
      if (data === undefined) throw endAsStrange()
      return data
    },
    async run(feeds, fetches, timeoutMs) {
      const answer = await call({ kind: 'run', feeds, fetches }, timeoutMs)
      if (!isRunResult(answer, fetches)) throw endAsStrange()
      return answer
    },
    async release() {
      await call({ kind: 'release' }, releaseTimeoutMs)
    },
    alive: () => ended === null,
    kill() {
      end(gone('was ended'))
      child.kill('SIGKILL')
    },
  }
}

/** An idle child must not keep this process alive. */
function keepNothingOpen(child: ChildProcess, socket: Socket): void {
  child.unref()
  socket.unref()
}
