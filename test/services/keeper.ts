import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryFolder } from '../memory-folder.ts'

/** A service that answers at `url`, and how to end it. */
export interface Service {
  readonly url: string
  stop(): Promise<void>
}

/** How long a server may take to answer, on the slowest machine: that of S3 imports much of Python. */
const patienceMs = 100_000

/** The user that a server runs as: PostgreSQL refuses to run as root. Undefined: our own user. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}

/**
 * Holds one server. The server lives as long as our end of its standard input is open, so it ends, and its folder is
 * removed, however this process ends. It leads its own process group, so that Ctrl-C reaches only us. The signal is
 * repeated, because a server that is still starting may miss one; one that refuses to end, as Redis does while it
 * cannot save, is killed after 60 s. The shell may say that the signal ended the server, to an output that nobody
 * reads any more; that must not end it before the folder is removed.
 */
const keeper = `
dir=$1; signal=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- & pid=$!
{
  cat <&3 >/dev/null; tries=0
  while kill -s "$signal" "$pid" 2>/dev/null; do
    sleep 0.1; tries=$((tries + 1))
    [ $tries -lt 600 ] || signal=KILL
  done
} &
trap '' PIPE
wait "$pid"
rm -rf "$dir"
`

export interface ServerCommand {
  /** The name in errors. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Removed when the server ends. */
  readonly folder: string
  /** The signal that ends the server at once and cleanly. */
  readonly signal: 'INT' | 'TERM'
  readonly user: ServerUser | undefined
  readonly url: string
  /**
   * Resolves once this server answers, and not another that took its port. It is retried every 25 ms for up to 100 s.
   */
  answers(): Promise<void>
}

/**
 * Starts a server and waits until it answers.
 *
 * @throws with the server's last output where it ends, or does not answer within 100 s
 */
export async function startServer(server: ServerCommand): Promise<Service> {
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', server.folder, server.signal, server.command, ...server.args], {
    cwd: server.folder,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...server.user,
  })
  let said = ''
  const listen = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-2000)
  }
  child.stdout.on('data', listen)
  child.stderr.on('data', listen)
  child.stdin.on('error', () => undefined)
  let ended = false
  const exit = new Promise<void>((resolve) => {
    const end = (): void => {
      ended = true
      child.stdin.end()
      resolve()
    }
    child.on('exit', end)
    child.on('error', (error) => {
      said += error.message
      end()
    })
  })
  const stop = async (): Promise<void> => {
    child.stdin.end()
    await exit
    await rm(server.folder, { recursive: true, force: true })
  }
  const deadline = Date.now() + patienceMs
  for (;;) {
    try {
      await server.answers()
      if (ended) throw new Error(`Something else answers at "${server.url}".`)
      return { url: server.url, stop }
    } catch (cause) {
      if (!ended && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 25))
        continue
      }
      const what = ended ? 'ended' : `did not answer within ${patienceMs / 1000} s`
      await stop()
      throw new Error(`"${server.name}" ${what}: ${said.trim()}`, { cause })
    }
  }
}

/** A new folder in the system's temporary folder that the server's user owns. */
export async function serverFolder(service: string, user: ServerUser | undefined): Promise<string> {
  const folder = await mkdtemp(join(user === undefined ? tmpdir() : (memoryFolder() ?? '/tmp'), `lockstep-test-${service}-`))
  if (user !== undefined) await chown(folder, user.uid, user.gid)
  return folder
}

/** Runs `start` on ports from `freePort`, and retries where another process has taken one of them meanwhile. */
export async function onFreePort<T>(start: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await start()
    } catch (error) {
      if (tries === 3 || !/address already in use/i.test(String(error))) throw error
    }
  }
}

/** The unprivileged user that servers run as when we are root. */
export async function unprivilegedUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const user = users.find((fields) => fields[0] === name)
    if (user !== undefined) return { uid: Number(user[2]), gid: Number(user[3]) }
  }
  throw new Error('This is root, PostgreSQL refuses to run as root, and /etc/passwd has neither "postgres" nor "nobody".')
}

/** The ports that this process was given. */
const given = new Set<number>()

/**
 * A port on which nothing listens. The system gives it to nobody who asks for any port, and to no connection, so it
 * stays free while its server is down. The same holds for the port 10,000 above it, where a Redis Cluster has its bus.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = randomInt(12_000, 22_000)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error('No port is free.')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true))
  })
  if (listens) await new Promise((resolve) => server.close(resolve))
  return listens
}
