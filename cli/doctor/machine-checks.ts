import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import type { Config } from '../../runtime/config.ts'
import { tryPort } from '../../runtime/listen.ts'
import { readVersion } from '../../runtime/version.ts'
import { bytes } from '../human.ts'
import type { Answer } from './check.ts'
import { note, ok, wrong } from './check.ts'

const littleBytes = 100e6
const fewBytes = 1e9

/** A process of an older Node does not come as far as this. */
export function checkVersions(): Answer {
  return ok(`Lockstep ${readVersion()} on Node ${process.versions.node}, ${process.platform} ${process.arch}.`)
}

/** Runs a tiny model. */
export async function checkOnnxRuntime(): Promise<Answer> {
  await initializeOrt()
  return ok('ONNX Runtime runs a model.')
}

export async function checkPort({ host, port }: Pick<Config, 'host' | 'port'>): Promise<Answer> {
  try {
    await tryPort(host, port)
    return ok(`Port ${port} on ${host} is free.`)
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'PORT_IN_USE') throw error
    return note(`Port ${port} on ${host} is in use, perhaps by a Lockstep server. Another server needs LOCKSTEP_PORT or --port.`)
  }
}

/** The space that the embedded database and store have. */
export async function checkDisk({ directory }: Pick<Config, 'directory'>): Promise<Answer> {
  let folder = directory
  while (!existsSync(folder)) folder = dirname(folder)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const text = `${bytes(free)} are free for "${directory}"`
  if (free < littleBytes) return wrong(`Only ${text}. Free some space, or set LOCKSTEP_DIR to a folder on another disk.`)
  return free < fewBytes ? note(`Only ${text}.`) : ok(`${text}.`)
}
