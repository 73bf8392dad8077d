import { randomBytes } from 'node:crypto'
import { readdir, rename, unlink } from 'node:fs/promises'
import type { Server } from 'node:net'
import { createServer } from 'node:net'
import { basename, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { askOwner, type OwnerAnswer } from './ask-owner.ts'
import { folderFailure } from './embedded-failure.ts'
import { makePrivate } from '../private-folder.ts'
import { withShortPath } from './short-path.ts'

/** Of the sockets, with the process id. */
const pattern = /^owner-\d+-(\d+)-[0-9a-f]+\.sock$/
/** How long a process waits for others that started after it to withdraw. */
const withdrawMs = 10_000
const pollMs = 20

/** The answers of this process, by the folder that it owns. */
const answers = new Map<string, OwnerAnswer>()

export interface EmbeddedOwner {
  /** Gives the folder back. */
  release(): Promise<void>
}

/**
 * Makes this process the only owner of an embedded folder until `release` or until the process ends for any reason.
 *
 * Each process first listens on a Unix socket in the folder, under a unique name, and then looks for other sockets. So
 * of two starting processes at least one sees the other, and two never own the folder. A socket that refuses
 * connections has lost its process and is removed. A name appears only when its socket already listens and is never
 * reused, so no live socket is removed. If two starting processes see each other, the smaller (earlier) name wins, and
 * waits for the other to withdraw.
 *
 * @throws LockstepError `EMBEDDED_IN_USE` within 1 s if there is an owner, with its pid and command, and after 10 s if
 *   a process that started later does not answer; `WRITE_FAILED`, `CONFIG_INVALID`
 */
export async function ownEmbeddedFolder(directory: string): Promise<EmbeddedOwner> {
  try {
    makePrivate(directory)
  } catch (error) {
    throw folderFailure(directory, error) ?? error
  }
  const answer: OwnerAnswer = { pid: process.pid, command: commandLine(), owner: false }
  const name = `owner-${Date.now()}-${process.pid}-${randomBytes(8).toString('hex')}.sock`
  const server = await listen(directory, name, answer)
  const release = async () => {
    if (answer.owner) answers.delete(resolve(directory))
    await unlink(join(directory, name)).catch(() => undefined)
    await new Promise((closed) => server.close(closed))
  }
  try {
    for (const deadline = performance.now() + withdrawMs; ; await delay(pollMs)) {
      const others = await livingOthers(directory, name)
      if (others.length === 0) break
      const stronger = others.find(
        (other) => other.answer !== 'unclear' && (other.name < name || (other.answer !== 'silent' && other.answer.owner)),
      )
      const winner = stronger ?? (performance.now() > deadline ? others[0] : undefined)
      if (winner !== undefined) throw inUse(directory, winner)
    }
    answer.owner = true
    answers.set(resolve(directory), answer)
    return { release }
  } catch (error) {
    await release()
    throw error
  }
}

/** Lets other processes know which server answers for a folder that this process owns. */
export function announceServer(directory: string, url: string): void {
  const answer = answers.get(resolve(directory))
  if (answer !== undefined) answer.url = url
}

/** Whether a process owns an embedded folder. One that is too busy to answer counts. */
export async function hasEmbeddedOwner(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch((): string[] => [])
  for (const name of names.filter((each) => pattern.test(each))) {
    const answer = await askOwner(directory, name)
    if (typeof answer === 'string' ? answer === 'silent' : answer.owner) return true
  }
  return false
}

interface Other {
  readonly name: string
  readonly answer: OwnerAnswer | 'silent' | 'unclear'
}

async function livingOthers(directory: string, own: string): Promise<Other[]> {
  const names = (await readdir(directory)).filter((name) => pattern.test(name) && name !== own)
  const asked = await Promise.all(
    names.map(async (name) => {
      const answer = await askOwner(directory, name)
      if (answer === 'dead') await unlink(join(directory, name)).catch(() => undefined)
      return answer === 'dead' || answer === 'gone' ? [] : [{ name, answer }]
    }),
  )
  return asked.flat()
}

/** The socket is renamed after it listens, so a socket with a final name that refuses connections is dead. */
async function listen(directory: string, name: string, answer: OwnerAnswer): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end(JSON.stringify(answer), () => socket.destroy())
  })
  const unnamed = `${name}.new`
  try {
    await withShortPath(directory, unnamed, async (path) => {
      await new Promise<void>((listening, reject) => {
        server.once('error', reject)
        server.listen(path, listening)
      })
    })
    await rename(join(directory, unnamed), join(directory, name))
  } catch (error) {
    server.close()
    const known = folderFailure(directory, error)
    if (known !== null) throw known
    throw new LockstepError(
      'CONFIG_INVALID',
      `The folder "${directory}" cannot hold the socket that locks out other processes: ${messageOf(error)}. Set LOCKSTEP_DIR to a folder on a local disk.`,
      { cause: error, details: { directory } },
    )
  }
  // owning a folder is no reason to stay alive
  server.unref()
  return server
}

function inUse(directory: string, { name, answer }: Other): LockstepError {
  const owner = typeof answer === 'string' ? null : answer
  // the process may be too busy to answer
  const pid = Number(pattern.exec(name)?.[1])
  const wayOut = owner?.url === undefined ? '' : ` Or add --server ${owner.url}, if the command has this option, to send it to that server.`
  const who = `process ${pid}${owner === null ? '' : ` ("${owner.command}")`}`
  return new LockstepError(
    'EMBEDDED_IN_USE',
    `The embedded database in "${directory}" is in use by ${who}. Stop that process, or set LOCKSTEP_POSTGRES_URL, because only PostgreSQL serves several processes.${wayOut}`,
    { details: { directory, pid, command: owner?.command ?? null } },
  )
}

function commandLine(): string {
  const [, script = 'node', ...rest] = process.argv
  return [basename(script), ...rest].join(' ')
}
