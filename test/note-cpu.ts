import { readFileSync } from 'node:fs'
import { afterAll } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /**
     * Of a test file: the processor seconds (user and system) of its own process, and of the processes that it started.
     */
    cpu?: { readonly ownSeconds: number; readonly childSeconds: number }
  }
}

/**
 * The processor time of this process up to the end of its last test file. A process that runs only one file counts from
 * its start.
 */
const noted: { own: number; children: number } = ((globalThis as { notedCpu?: typeof noted }).notedCpu ??= { own: 0, children: 0 })

// a setup file's hook runs after those of the test file, which have ended the processes that the file started
// oxlint-disable-next-line no-empty-pattern -- vitest accepts nothing else before the second parameter
afterAll(({}, file) => {
  const { user, system } = process.cpuUsage()
  const [own, children] = [(user + system) / 1e6, endedChildrenSeconds()]
  file.meta.cpu = { ownSeconds: own - noted.own, childSeconds: children - noted.children }
  Object.assign(noted, { own, children })
})

/** The processor seconds of all ended children of this process, including their own children. Linux only. */
function endedChildrenSeconds(): number {
  if (process.platform !== 'linux') return 0
  const stat = readFileSync('/proc/self/stat', 'utf8')
  // the name, in parentheses, may hold spaces; after it come the fields from the third on, and these are the 16th and
  // 17th
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticksPerSecond = 100
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}
