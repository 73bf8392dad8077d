import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

interface Line {
  readonly worker: number
  readonly msg: string
  readonly signal?: string
}

it('kills a worker that does not answer any more, and replaces it', async () => {
  const pool = spawn(process.execPath, [fileURLToPath(new URL('./pool-process.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: Line[] = []
  for await (const line of createInterface({ input: pool.stdout })) {
    const told = JSON.parse(line) as Line
    said.push(told)
    if (told.msg === 'a worker listens') {
      if (said.length > 1) pool.kill('SIGTERM')
      else process.kill(told.worker, 'SIGSTOP')
    }
  }
  if (pool.exitCode === null) await once(pool, 'exit')
  expect(said.map(({ msg }) => msg)).toEqual([
    'a worker listens',
    'a server process does not answer and is killed',
    'a server process died and is replaced',
    'a worker listens',
  ])
  const [first, killed, died, next] = said
  expect([killed?.worker, died?.worker, died?.signal, pool.exitCode]).toEqual([first?.worker, first?.worker, 'SIGKILL', 0])
  expect(next?.worker).not.toBe(first?.worker)
})
