import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, readlink, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** `.train.parquet.<machine>-<process>-<random>.partial` */
const pattern = /^\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial$/

/** A hidden name beside `path`, which nobody else has, and which says what process writes there. */
export async function partialName(path: string): Promise<string> {
  return join(dirname(path), `.${basename(path)}.${await machineId()}-${process.pid}-${randomBytes(4).toString('hex')}.partial`)
}

/**
 * Removes what processes of this machine that are no more have left under such names in the folder: a process that is
 * killed cannot do so itself. What another machine writes there stays, as whether its process lives cannot be told from
 * here.
 */
export async function removeStalePartials(folder: string): Promise<void> {
  const machine = await machineId()
  for (const name of await readdir(folder).catch(() => [])) {
    const [, owner, pid] = pattern.exec(name) ?? []
    if (owner !== machine || isAlive(Number(pid))) continue
    await unlink(join(folder, name)).catch(() => undefined)
  }
}

/**
 * Of the places in which a process id means the same process: a machine, and on Linux each of its process namespaces,
 * as containers have them.
 */
async function machineId(): Promise<string> {
  const facts = [hostname(), await readFile('/etc/machine-id', 'utf8').catch(() => ''), await readlink('/proc/self/ns/pid').catch(() => '')]
  return createHash('sha256').update(facts.join('\0')).digest('hex').slice(0, 8)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // it is there, and another user's
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}
