import { realpathSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { endBundler } from '../../registry/bundle/end-bundler.ts'
import { readModules } from '../../registry/load/read-modules.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import type { LoadedDefinitions, LoadMessage, LoadTask } from './definitions-loader.ts'

// A thread that loads one definitions file and is then ended, because a module is imported only once in a thread. It
// starts before there is anything to load, so that it has its own modules by then.
parentPort?.once('message', (task: LoadTask) => {
  send('begun')
  void load(task).then(send)
})

function send(message: LoadMessage): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(message)
}

async function load({ file, timeoutMs }: LoadTask): Promise<LoadedDefinitions> {
  const { files, places } = readModules(realPathOf(file))
  try {
    return { set: await loadDefinitions(file, { timeoutMs }), error: null, files, places }
  } catch (error) {
    const { code, details } = error instanceof LockstepError ? error : { code: 'INTERNAL' as const, details: {} }
    return { set: null, error: { code, message: messageOf(error), details: plain(details) }, files, places }
  } finally {
    await endBundler()
  }
}

function realPathOf(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}

/** The details that can be sent to another thread. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(details).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value)))
}
