import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, readlink, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** `.train.parquet.<machine>-<process>-<random>.partial` */
const pattern = /^\.(.+)\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial$/

/** A unique hidden name beside `path`, which identifies the process that writes there. */
export async function partialName(path: string): Promise<string> {
  return join(dirname(path), `.${basename(path)}.${await machineId()}-${process.pid}-${randomBytes(4).toString('hex')}.partial`)
}

/**
 * Removes the files that dead processes of this machine left under such names in the folder: a killed process cannot do
 * so itself. Files of another machine stay, because this machine cannot see whether their process lives.
 *
 * @param isOwn whether a file may be removed, by its final name
 */
export async function removeStalePartials(folder: string, isOwn: (name: string) => boolean = () => true): Promise<void> {
  const machine = await machineId()
  for (const name of await readdir(folder).catch(() => [])) {
    const [, final = '', owner, pid] = pattern.exec(name) ?? []
    if (owner !== machine || !isOwn(final) || isAlive(Number(pid))) continue
    await unlink(join(folder, name)).catch(() => undefined)
  }
}

/**
 * Identifies the scope in which a process id is unique: a machine, and on Linux a process namespace, as containers have
 * their own.
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
    // the process exists, and belongs to another user
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}
