import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Started {
  readonly child: ChildProcess
  readonly url: string
}

/** Resolves once the server is ready. */
export async function startServer(env: NodeJS.ProcessEnv): Promise<Started> {
  const main = join(import.meta.dirname, '../../cli/main.ts')
  const child = spawn(process.execPath, [main, 'serve', '--port', '0', '--json'], {
    env: { ...env, LOCKSTEP_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    let output = ''
    child.on('exit', () => reject(new Error('The server ended.')))
    child.stdout.on('data', (chunk: Buffer) => {
      const [, found] = /"url": "(http:[^"]+)"/.exec((output += chunk.toString())) ?? []
      if (found !== undefined) resolve(found)
    })
  })
  while ((await fetch(`${url}/readyz`)).status !== 200) await sleep(50)
  return { child, url }
}

/** A process that runs jobs, the control of rollouts among them. */
export function startWorker(env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dirname, '../../cli/main.ts'), 'worker'], {
    env: { ...env, LOCKSTEP_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
