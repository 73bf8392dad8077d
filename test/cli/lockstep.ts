import { runCommand } from './one-process.ts'
import type { Ended, Environment, Printed } from './run-lockstep.ts'
import { jsonOf } from './run-lockstep.ts'

/**
 * Runs a command as bin/lockstep does, in a process that has run others before. For tests of how a process starts and
 * ends, use `start` of run-lockstep.ts.
 */
export async function lockstep(env: Environment, ...words: readonly string[]): Promise<Ended> {
  const { exitCode: code, out, err } = await runCommand({ words, env })
  return { code, out, err, json: jsonOf(out) }
}

/** As `lockstep`, but throws on a failure: for commands that must succeed before the actual test. */
export async function must(env: Environment, ...words: readonly string[]): Promise<Printed> {
  const { code, err, json } = await lockstep(env, ...words, '--json')
  if (code !== 0) throw new Error(`lockstep ${words.join(' ')} ended with ${code}: ${err}`)
  return json
}
