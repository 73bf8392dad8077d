import { join } from 'node:path'
import { expect } from 'vitest'
import { aptInstall, binaryFolders, isExecutable } from '../services/binaries.ts'

/** A program of the Debian package "prometheus", from the machine or from Debian. */
export async function prometheusProgram(name: 'prometheus' | 'promtool'): Promise<string> {
  const find = async (): Promise<string | undefined> => {
    for (const path of await binaryFolders()) if (await isExecutable(join(path, name))) return join(path, name)
    return undefined
  }
  const found = await find()
  if (found !== undefined) return found
  await aptInstall('prometheus')
  return (await find()) ?? expect.fail(`The Debian package "prometheus" has no ${name}.`)
}
