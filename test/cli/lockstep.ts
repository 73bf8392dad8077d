import { afterFile } from '../after-file.ts'
import type { CommandProcess } from './one-process.ts'
import { startCommandProcess } from './one-process.ts'
import type { Ended, Environment, Printed } from './run-lockstep.ts'
import { jsonOf } from './run-lockstep.ts'

/** The processes that wait for a command: as many as this file has run commands at once. */
const waiting: CommandProcess[] = []

/**
 * Runs a command as bin/lockstep does, in a process that has run others before. For tests of how a process starts and
 * ends, use `start` of run-lockstep.ts.
 */
export async function lockstep(env: Environment, ...words: readonly string[]): Promise<Ended> {
  const commands = waiting.pop() ?? started()
  const { exitCode: code, out, err } = await commands.run({ words, env })
  waiting.push(commands)
  return { code, out, err, json: jsonOf(out) }
}

function started(): CommandProcess {
  const commands = startCommandProcess()
  afterFile(() => {
    waiting.length = 0
    return commands.close()
  })
  return commands
}

/** As `lockstep`, but throws on a failure: for commands that must succeed before the actual test. */
export async function must(env: Environment, ...words: readonly string[]): Promise<Printed> {
  const { code, err, json } = await lockstep(env, ...words, '--json')
  if (code !== 0) throw new Error(`lockstep ${words.join(' ')} ended with ${code}: ${err}`)
  return json
}
