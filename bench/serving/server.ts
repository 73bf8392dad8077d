import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'

export interface Started {
  readonly child: ChildProcess
  readonly url: string
}

/** Starts a server as a separate process, which prints `{ url }`. */
export async function start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Started> {
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`The server ended with ${code}.`))),
  ])) as [Buffer]
  const { url } = JSON.parse(line.toString()) as { url: string }
  return { child, url }
}

export async function untilReady(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/readyz`).catch(() => null)
    if (answer?.ok === true) return
    await setTimeout(50)
  }
}

/**
 * Ends the server and waits until it has ended, so that it does not disturb the next measurement; kills it after 15 s.
 */
export async function end({ child }: Started): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const controller = new AbortController()
  void setTimeout(15_000, undefined, { signal: controller.signal }).then(
    () => child.kill('SIGKILL'),
    () => undefined,
  )
  await gone
  controller.abort()
}

/**
 * The processor time that the process has used so far, from /proc in the kernel's hundredths of a second; elsewhere
 * NaN.
 */
export async function cpuSeconds(child: ChildProcess): Promise<number> {
  const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
