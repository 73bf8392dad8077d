import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { bareEnvironment, nodeOptions } from '../bare-environment.ts'
import type { CommandLine, Ran } from './one-process-child.ts'
import { programFile } from './run-lockstep.ts'

/** A process that runs commands one after the other, because starting a process takes far longer than most commands. */
export interface CommandProcess {
  /** Runs one command with these settings and no others. */
  run(line: CommandLine): Promise<Ran>
  close(): Promise<void>
}

export function startCommandProcess(): CommandProcess {
  const child = fork(join(import.meta.dirname, 'one-process-child.ts'), [programFile('cli/run')], {
    env: bareEnvironment,
    execArgv: [...nodeOptions],
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

/**
 * Processes that wait for a command: as many as the files of this process have run commands at once. They end with it.
 */
const waiting: CommandProcess[] = []

/** Runs a command in a process that has run others before, perhaps those of another test file. */
export async function runCommand(line: CommandLine): Promise<Ran> {
  const commands = waiting.pop() ?? startCommandProcess()
  const ran = await commands.run(line)
  waiting.push(commands)
  return ran
}

export type LockstepCommand = (...words: readonly string[]) => Promise<Ran>

/** Commands that have the same settings and working directory. @param cwd absent: the root folder */
export function commandsWith(env: CommandLine['env'], cwd?: string): LockstepCommand {
  return (...words) => runCommand({ words, env, cwd })
}
