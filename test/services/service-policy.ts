import { readFile, rm, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'

/** The script by which Debian's packages ask whether they may start the services that they install. */
const debian = '/usr/sbin/policy-rc.d'
const mark = "# Written by Lockstep's tests, and removed when this process has installed what it needs: "

/**
 * Runs `fn` while no installed package may start a service. One process at a time: it waits for the policy of another
 * run. A policy that this suite did not make stays unchanged.
 *
 * @throws the errors of `fn`, and an error where another run does not end within `patienceMs`
 */
export async function withoutServiceStarts<T>(fn: () => Promise<T>, file = debian, patienceMs = 300_000): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    await forgetServicePolicy(file)
    const own = await create(file)
    if (own || (await isForeign(file))) {
      try {
        return await fn()
      } finally {
        if (own) await rm(file, { force: true })
      }
    }
    if (Date.now() >= deadline) throw new Error(`another run of the tests is installing services; where none is, remove "${file}"`)
    await setTimeout(100)
  }
}

/** Removes the policy of a run that was killed. */
export async function forgetServicePolicy(file = debian): Promise<void> {
  const pid = await owner(file)
  if (pid !== null && !isAlive(pid)) await rm(file, { force: true }).catch(() => undefined)
}

async function create(file: string): Promise<boolean> {
  try {
    await writeFile(file, `#!/bin/sh\n${mark}${process.pid}\nexit 101\n`, { flag: 'wx', mode: 0o755 })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Whether there is a policy that this suite did not make. */
async function isForeign(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => null)
  return text !== null && text !== '' && !text.includes(mark)
}

/** The process of the test run that made the policy; null: there is none, or this suite did not make it. */
async function owner(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch(() => '')
  const at = text.indexOf(mark)
  return at < 0 ? null : Number.parseInt(text.slice(at + mark.length), 10)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
