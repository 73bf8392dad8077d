import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { bareEnvironment } from '../bare-environment.ts'
import type { CommandLine, Ran } from './one-process-child.ts'
import { programFile } from './run-lockstep.ts'

/** A process that runs commands one after the other, because starting a process takes far longer than most commands. */
export interface CommandProcess {
  /** Runs one command with these settings and no others. */
  run(line: CommandLine): Promise<Ran>
  close(): Promise<void>
}

/** @param cwd its working directory; absent: this process' own */
export function startCommandProcess(cwd?: string): CommandProcess {
  const child = fork(join(import.meta.dirname, 'one-process-child.ts'), [programFile('cli/run')], {
    cwd,
    env: bareEnvironment,
    execArgv: [],
  })
  const exited = once(child, 'exit')
  return {
    async run(line) {
      const ended = exited.then(([code, signal]) => {
        throw new Error(`The process of the commands ended with ${code ?? signal} in "lockstep ${line.words.join(' ')}".`)
      })
      child.send(line)
      const [ran] = (await Promise.race([once(child, 'message'), ended])) as [Ran]
      return ran
    },
    async close() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

export interface OneProcess {
  lockstep(...words: readonly string[]): Promise<Ran>
  close(): Promise<void>
}

/** A process for commands that have the same settings. */
export function oneProcess(env: CommandLine['env'], cwd?: string): OneProcess {
  const { run, close } = startCommandProcess(cwd)
  return { lockstep: (...words) => run({ words, env }), close }
}
