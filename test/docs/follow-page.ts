import { expect } from 'vitest'
import { commandsWith } from '../cli/one-process.ts'
import type { Environment, Running } from '../cli/run-lockstep.ts'
import { start, whenReady } from '../cli/run-lockstep.ts'
import { documentedCommands } from './documented.ts'

/**
 * Runs the commands of a page one after the other in a folder, with the embedded stores. A server runs from `lockstep
 * serve` or the first request until the next command without `--server`.
 *
 * @param from the command to begin with, such as `migrate`; absent: the first one
 * @returns the answers of the requests
 */
export async function followPage(page: string, folder: string, env: Environment, from?: string): Promise<unknown[]> {
  const lockstep = commandsWith(env, folder)
  let running: Running | null = null
  const answered: unknown[] = []
  const stop = async (): Promise<void> => {
    // the embedded folder has one process at a time
    running?.child.kill('SIGTERM')
    await running?.ended
    running = null
  }
  const address = async (): Promise<string> => {
    running ??= start(env, 'serve', '--port', '0', '--json')
    const [, at = ''] = await running.until(/"url": "(http:[^"]+)"/)
    await whenReady(at)
    return at
  }
  try {
    const all = documentedCommands(page)
    const begin = from === undefined ? 0 : all.findIndex(({ words }) => words[1] === from)
    for (const { words, text } of all.slice(begin)) {
      if (words[0] === 'curl') {
        const response = await fetch(`${await address()}${words[1]?.slice('localhost:8080'.length)}`, {
          method: 'POST',
          body: words[3] ?? '',
        })
        const answer: unknown = await response.json()
        expect(response.status, `${text}\n${JSON.stringify(answer)}`).toBe(200)
        answered.push(answer)
      } else if (words[1] !== 'serve') {
        const remote = words.includes('--server')
        if (!remote) await stop()
        const at = remote ? await address() : ''
        const { exitCode, err } = await lockstep(...words.slice(1).map((word) => (word === 'http://localhost:8080' ? at : word)))
        expect(exitCode, `${text}: ${err}`).toBe(0)
      }
    }
  } finally {
    await stop()
  }
  return answered
}
