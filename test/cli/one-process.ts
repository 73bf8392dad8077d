import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { bareEnvironment } from '../bare-environment.ts'
import type { Ran } from './one-process-child.ts'
import type { Environment } from './run-lockstep.ts'

export interface OneProcess {
  lockstep(...words: readonly string[]): Promise<Ran>
  close(): Promise<void>
}

/**
 * Runs commands one after the other in a process that stays: starting one takes far longer than most commands do.
 *
 * @param cwd its working directory; absent: this process' own
 */
export function oneProcess(env: Environment, cwd?: string): OneProcess {
  const child = fork(join(import.meta.dirname, 'one-process-child.ts'), { cwd, env: { ...bareEnvironment, ...env }, execArgv: [] })
  return {
    async lockstep(...words) {
      child.send(words)
      const [ran] = (await once(child, 'message')) as [Ran]
      return ran
    },
    async close() {
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}
