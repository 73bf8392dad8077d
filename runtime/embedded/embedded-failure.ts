import { statfsSync } from 'node:fs'
import { LockstepError, withoutStop } from '../../kernel/errors.ts'
import { sqlState } from '../postgres/relation.ts'

/** A little more than one WAL segment. With less free space the database cannot start. */
const littleBytes = 20_000_000
/** The space that one write of the online store may need. */
const pagesBytes = 1_000_000
const diskFullState = '53100'
/** SQLite's codes PERM, READONLY, IOERR, FULL and CANTOPEN. */
const sqliteErrors = new Map([
  [3, 'EACCES'],
  [8, 'EACCES'],
  [10, 'EIO'],
  [13, 'ENOSPC'],
  [14, 'EIO'],
])

/** Names for error numbers of the WebAssembly engine. */
const engineErrors: Readonly<Record<number, string>> = {
  2: 'EACCES',
  22: 'EDQUOT',
  29: 'EIO',
  31: 'EISDIR',
  33: 'EMFILE',
  44: 'ENOENT',
  51: 'ENOSPC',
  54: 'ENOTDIR',
  63: 'EPERM',
  69: 'EROFS',
}

/** Turns a file system error of the embedded folder into an error for users; null for other errors. */
export function folderFailure(directory: string, cause: unknown): LockstepError | null {
  const code = fileSystemCode(cause)
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return diskFull(directory, cause)
    case 'EEXIST':
    case 'ENOTDIR':
      return new LockstepError(
        'CONFIG_INVALID',
        `The folder "${directory}" cannot be created: it, or a part of its path, is a file (${code}). Set LOCKSTEP_DIR to a folder.`,
        { cause, details: { directory } },
      )
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return readOnly(directory, code, cause)
    case 'ENOENT':
      // the error of creating a folder in a read-only one
      return cause instanceof Error && 'syscall' in cause && cause.syscall === 'mkdir' ? readOnly(directory, code, cause) : null
    case 'EIO':
      // SQLite reports only this if it cannot make or enlarge the index of its log
      return freeBytes(directory) < pagesBytes ? diskFull(directory, cause) : null
    default:
      return null
  }
}

/** Turns an error of the embedded database into an error for users. SQL errors are returned unchanged. */
export function embeddedFailure(directory: string, cause: unknown, phase: 'opening' | 'running'): unknown {
  if (cause instanceof LockstepError) return cause
  const known = folderFailure(directory, cause)
  if (known !== null) return known
  if (!isBroken(cause) && phase === 'running') return cause
  // the engine does not say what ended it
  if (freeBytes(directory) < littleBytes) return diskFull(directory, cause)
  const reason = reasonOf(cause)
  if (phase === 'opening') return damaged(directory, 'database', reason, cause)
  return new LockstepError(
    'INTERNAL',
    `The embedded database in "${directory}" failed: ${reason}. Committed data is kept; run the command again.`,
    { cause, details: { directory } },
  )
}

export function damaged(directory: string, what: 'database' | 'online store', reason: string, cause: unknown): LockstepError {
  const remedy =
    what === 'database'
      ? 'Restore the folder from a copy, or delete it to start again without data.'
      : 'Stop all processes that use it, delete the folder and materialize again.'
  return new LockstepError(
    'EMBEDDED_DAMAGED',
    `The embedded ${what} in "${directory}" cannot be opened. Its files seem to be damaged (${reason}). ${remedy}`,
    { cause, details: { directory } },
  )
}

/** Whether the engine itself has failed, not a statement. It is then unusable. */
export function isBroken(cause: unknown): boolean {
  // the engine throws plain objects, too
  if (!(cause instanceof Error)) return typeof cause === 'object' && cause !== null && ('errno' in cause || 'status' in cause)
  return cause.name === 'RuntimeError' || /^(Aborted\(|PGlite failed)/.test(cause.message)
}

function readOnly(directory: string, code: string, cause: unknown): LockstepError {
  return new LockstepError(
    'WRITE_FAILED',
    `The folder "${directory}" is not writable (${code}). Change its permissions, or set LOCKSTEP_DIR to another folder.`,
    { cause, details: { directory } },
  )
}

function diskFull(directory: string, cause: unknown): LockstepError {
  return new LockstepError(
    'WRITE_FAILED',
    `The disk of the folder "${directory}" is full, or almost full. Free some space and run again; committed data is kept.`,
    { cause, details: { directory } },
  )
}

function fileSystemCode(error: unknown): string {
  if (sqlState(error) === diskFullState) return 'ENOSPC'
  for (let cause = error; typeof cause === 'object' && cause !== null; cause = 'cause' in cause ? cause.cause : null) {
    if ('errno' in cause && typeof cause.errno === 'number' && !(cause instanceof Error)) return engineErrors[cause.errno] ?? ''
    if ('code' in cause && typeof cause.code === 'string' && /^E[A-Z]+$/.test(cause.code)) return cause.code
    const code = sqliteCode(cause)
    if (code !== null) return sqliteErrors.get(code) ?? ''
  }
  return ''
}

/** SQLite's primary code for an error; null for other errors. */
export function sqliteCode(error: unknown): number | null {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : null
}

function reasonOf(cause: unknown): string {
  if (cause instanceof Error) return isBroken(cause) ? 'the engine ended' : withoutStop(cause)
  const code = fileSystemCode(cause)
  return code === '' ? 'the engine ended' : code
}

function freeBytes(directory: string): number {
  try {
    const { bavail, bsize, files, ffree } = statfsSync(directory)
    // a disk may have space, and no room for another file
    return files > 0 && ffree === 0 ? 0 : bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
