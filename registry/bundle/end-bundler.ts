import type { ChildProcess } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { stop } from 'esbuild'
import { orTimeout } from '../../runtime/async.ts'

/** How long the bundler's process may take to end. */
const patienceMs = 2_000

const running = new Set<ChildProcess>()
subscribe('child_process', (message) => {
  const { process } = message as { process: ChildProcess }
  // its arguments are known once it has been started
  process.once('spawn', () => {
    if (process.spawnargs.some((word) => word.startsWith('--service='))) running.add(process)
  })
  process.once('exit', () => running.delete(process))
})

/**
 * Ends the process that bundled transforms in this thread. A thread that ends before its children leaves them as
 * zombies: nobody else waits for them.
 */
export async function endBundler(): Promise<void> {
  const ends = [...running].map((child) => {
    child.ref()
    return once(child, 'exit')
  })
  await stop()
  await orTimeout(Promise.all(ends), patienceMs)
}
