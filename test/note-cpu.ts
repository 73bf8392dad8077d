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
  const [own, children] = [(user + system) / 1e6, childrenSeconds()]
  file.meta.cpu = { ownSeconds: own - noted.own, childSeconds: children - noted.children }
  Object.assign(noted, { own, children })
})

/**
 * The processor seconds of all children of this process, ended and living, including their own ended ones. Linux only.
 */
function childrenSeconds(): number {
  if (process.platform !== 'linux') return 0
  const living = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)
  return living.reduce((sum, pid) => sum + secondsOf(pid, 4), secondsOf('self', 2))
}

/** @param fields how many to add: those of ended children, and then those of the process itself */
function secondsOf(pid: string, fields: 2 | 4): number {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return 0 // it has ended meanwhile
  }
  // the name, in parentheses, may hold spaces; after it come the fields from the third on, and the times are the 14th
  // to the 17th: of the process as a user and in the system, and of its ended children
  const times = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .toReversed()
  const ticksPerSecond = 100
  return times.slice(0, fields).reduce((sum, time) => sum + Number(time), 0) / ticksPerSecond
}
