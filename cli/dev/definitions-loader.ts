import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ErrorCode } from '../../kernel/errors.ts'
import { startPatientTimer } from '../../runtime/async.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import type { DefinitionLine } from '../../registry/load/read-modules.ts'

export interface LoadTask {
  readonly file: string
  readonly timeoutMs: number
}

/** A definitions file as it was loaded, or its error. */
export interface LoadedDefinitions {
  readonly set: DefinitionSet | null
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly details: Record<string, unknown> } | null
  /** The file and the modules that it imports by path. */
  readonly files: readonly string[]
  readonly places: readonly DefinitionLine[]
}

/** Loads a definitions file again and again, as it is each time. */
export interface DefinitionsLoader {
  /** Never rejects because of the file. A call waits for the one before. */
  load(): Promise<LoadedDefinitions>
  close(): Promise<void>
}

const defaultTimeoutMs = 20_000
/** How much later than the thread itself this one gives up: an endless loop holds the thread. */
const graceMs = 1_000
/** How long a thread may take to start, on the slowest machine. */
const defaultStartMs = 300_000

/** The messages of a thread: that it begins with the file, and then the answer. */
export type LoadMessage = 'begun' | LoadedDefinitions

/**
 * @param options.timeoutMs how long importing the file may take
 * @param options.startMs how long its thread may take to start before that
 */
export function createDefinitionsLoader(file: string, { timeoutMs = defaultTimeoutMs, startMs = defaultStartMs } = {}): DefinitionsLoader {
  let next = startThread()
  let last: Promise<unknown> = Promise.resolve()
  let closed = false

  async function load(): Promise<LoadedDefinitions> {
    const thread = next
    if (closed) throw new LockstepError('STOPPED', `The load of "${file}" was stopped.`)
    try {
      return await answerOf(thread, { file: resolve(file), timeoutMs }, startMs)
    } finally {
      await thread.terminate()
      if (!closed) next = startThread()
    }
  }

  return {
    load() {
      const loading = last.then(load)
      last = loading.catch(() => undefined)
      return loading
    },
    async close() {
      closed = true
      await next.terminate()
      await last
    },
  }
}

function startThread(): Worker {
  // the script lies beside this file, as .ts in the repository and as .js once built
  const thread = new Worker(new URL(`./load-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
  thread.unref()
  return thread
}

function answerOf(thread: Worker, task: LoadTask, startMs: number): Promise<LoadedDefinitions> {
  return new Promise((resolveAnswer, reject) => {
    const fail = (message: string, code: ErrorCode = 'DEFINITIONS_INVALID'): void =>
      resolveAnswer({ set: null, error: { code, message, details: { file: task.file } }, files: [task.file], places: [] })
    const giveUp = (): void =>
      fail(`The definitions file "${task.file}" has not finished after ${task.timeoutMs / 1000} s; remove the endless loop.`)
    const notStarted = (): void =>
      fail(`The thread that loads "${task.file}" has not started after ${startMs / 1000} s; save the file again.`, 'INTERNAL')
    // an answer may have arrived while this thread was busy
    let stop = startPatientTimer(startMs, notStarted)
    thread.on('message', (message: LoadMessage) => {
      stop()
      // the start of the thread is not the file's time
      if (message === 'begun') stop = startPatientTimer(task.timeoutMs + graceMs, giveUp)
      else resolveAnswer(message)
    })
    thread.once('error', (error) => fail(`The definitions file "${task.file}" could not be run: ${error.message}.`))
    thread.once('exit', (code) => {
      stop()
      fail(`The definitions file "${task.file}" ended its thread with ${code}; remove the call of process.exit.`)
    })
    thread.once('messageerror', (error) =>
      reject(new LockstepError('INTERNAL', 'The definitions could not be sent between threads; report this.', { cause: error })),
    )
    thread.ref()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    thread.postMessage(task)
  })
}
