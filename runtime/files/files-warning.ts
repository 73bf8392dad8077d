import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { messageOf } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../log.ts'

/** Why this process cannot write files into a folder, or make it. It writes nothing. null: it can. */
function folderProblem(folder: string): string | null {
  let existing = folder
  while (!existsSync(existing)) existing = dirname(existing)
  try {
    if (!statSync(existing).isDirectory()) return `"${existing}" is not a folder`
    accessSync(existing, constants.W_OK | constants.X_OK)
    return null
  } catch (error) {
    return messageOf(error)
  }
}

/** What fails without the folder of uploads and training sets, and what to do. null: it can be written. */
export function filesWarning({ filesDirectory }: Pick<Config, 'filesDirectory'>): string | null {
  const problem = folderProblem(filesDirectory)
  if (problem === null) return null
  return `This process cannot write to "${filesDirectory}": ${problem}. Uploads and training sets through a server fail. Set LOCKSTEP_FILES_DIR to a folder that it can write.`
}

/** Otherwise a server says it to the first client that uploads a file. */
export function warnOfFiles(config: Pick<Config, 'filesDirectory'>, log: Logger): void {
  const warning = filesWarning(config)
  if (warning !== null) log.warn({ warning }, 'the folder of files cannot be written')
}
