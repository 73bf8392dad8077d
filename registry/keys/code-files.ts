import { randomBytes } from 'node:crypto'
import { lchownSync, lstatSync, statSync } from 'node:fs'
import { readFile, readdir, rm, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { makePrivate } from '../../runtime/private-folder.ts'
import { keyHash } from './key-text.ts'

/** The name of the folder of codes, in the folder of the embedded database. */
const folderName = 'codes'

/**
 * Leaves a one-time code for the server that owns the embedded database of a folder, which no other process can open.
 * Only those who can write to that folder can do it, and they can read the database anyway.
 *
 * @param seconds how long it can be used
 * @throws LockstepError `USAGE` where the folder of codes is a link or a file
 */
export async function leaveCode(directory: string, actor: string, seconds: number): Promise<string> {
  const folder = join(directory, folderName)
  // root must not follow a link that the server's user has made
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new LockstepError('USAGE', `"${folder}" is not a folder, but a link or a file. Delete it, then run "lockstep ui" again.`)
  makePrivate(folder)
  for (const name of await readdir(folder)) if (isOld(join(folder, name), seconds)) await rm(join(folder, name), { force: true })
  const code = randomBytes(32).toString('base64url')
  const file = join(folder, fileName(code))
  await writeFile(file, JSON.stringify({ actor, expiresMs: Date.now() + seconds * 1000 }), { mode: 0o600, flag: 'wx' })
  // what root leaves, the server's user must be able to read
  const { uid, gid } = statSync(directory)
  if (process.getuid?.() === 0) for (const path of [folder, file]) lchownSync(path, uid, gid)
  return code
}

/**
 * Takes a code that was left, which then is used up.
 *
 * @returns its actor; null: it was used, is too old or is no code
 */
export async function takeCode(directory: string, code: string): Promise<string | null> {
  const file = join(directory, folderName, fileName(code))
  try {
    const left: unknown = JSON.parse(await readFile(file, 'utf8'))
    // of two requests with one code, one removes the file
    await unlink(file)
    if (!isRecord(left) || typeof left['expiresMs'] !== 'number' || left['expiresMs'] < Date.now()) return null
    return String(left['actor'])
  } catch {
    return null
  }
}

function isOld(file: string, seconds: number): boolean {
  const { mtimeMs = 0 } = statSync(file, { throwIfNoEntry: false }) ?? {}
  return mtimeMs < Date.now() - seconds * 1000
}

function fileName(code: string): string {
  return keyHash(code).toString('hex')
}
