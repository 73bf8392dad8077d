import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aptInstall, binaryFolders, isExecutable } from './binaries.ts'
import { type Service, freePort, serverFolder, startServer } from './keeper.ts'
import { type Way, firstThatWorks } from './ways.ts'

/** A server that belongs to one test file, which may stop and restart it with the same port and the same data. */
export interface RestartableServer {
  readonly url: string
  stop(): Promise<void>
  start(): Promise<void>
  /** Stops it for good, and removes its data. */
  remove(): Promise<void>
}

interface ServerKind {
  readonly name: string
  readonly scheme: string
  readonly commands: readonly string[]
  /** The Debian package. */
  readonly debian: string
  args(port: number, data: string): string[]
  /** The bytes to send, and the expected answer or greeting. */
  readonly hello: string
  readonly answer: RegExp
}

/** A Redis with persistence. */
export function restartableRedis(): Promise<RestartableServer> {
  return restartableServer({
    name: 'Redis',
    scheme: 'redis',
    commands: ['redis-server', 'valkey-server'],
    debian: 'redis-server',
    args: (port, data) => ['--port', String(port), '--bind', '127.0.0.1', '--dir', data, '--save', '', '--appendonly', 'yes'],
    hello: 'PING\r\n',
    answer: /PONG/,
  })
}

/** A NATS server with JetStream. */
export function restartableNats(): Promise<RestartableServer> {
  return restartableServer({
    name: 'NATS',
    scheme: 'nats',
    commands: ['nats-server'],
    debian: 'nats-server',
    args: (port, data) => ['--addr', '127.0.0.1', '--port', String(port), '--jetstream', '--store_dir', data],
    hello: 'PING\r\n',
    answer: /PONG/,
  })
}

async function restartableServer(kind: ServerKind): Promise<RestartableServer> {
  const data = await mkdtemp(join(tmpdir(), `lockstep-test-${kind.scheme}-data-`))
  const port = await freePort()
  const url = `${kind.scheme}://127.0.0.1:${port}`
  let service: Service | null = null
  const server: RestartableServer = {
    url,
    async start() {
      service = (await firstThatWorks(kind.name, waysTo(kind, port, data), 1))[0] ?? null
    },
    async stop() {
      await service?.stop()
    },
    async remove() {
      await service?.stop()
      await rm(data, { recursive: true, force: true })
    },
  }
  try {
    await server.start()
  } catch (error) {
    await server.remove()
    throw error
  }
  return server
}

function waysTo(kind: ServerKind, port: number, data: string): Way[] {
  const start = async (): Promise<Service[]> => {
    for (const folder of await binaryFolders()) {
      for (const name of kind.commands) {
        const command = join(folder, name)
        if (await isExecutable(command)) return [await startOn(kind, command, port, data)]
      }
    }
    throw new Error('it was not found')
  }
  return [
    { advice: `Install ${kind.name}, so that ${kind.commands.map((name) => `"${name}"`).join(' or ')} is in PATH.`, start },
    {
      advice: `Run as root on Debian or Ubuntu, where "apt-get install ${kind.debian}" is run for you.`,
      async start() {
        await aptInstall(kind.debian)
        return await start()
      },
    },
  ]
}

async function startOn(kind: ServerKind, command: string, port: number, data: string): Promise<Service> {
  return await startServer({
    name: command,
    command,
    args: kind.args(port, data),
    folder: await serverFolder(kind.scheme, undefined),
    signal: 'TERM',
    user: undefined,
    url: `${kind.scheme}://127.0.0.1:${port}`,
    answers: () => answers(port, kind),
  })
}

function answers(port: number, { name, hello, answer }: ServerKind): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(hello))
    socket.setTimeout(2000, () => socket.destroy(new Error(`${name} did not answer within 2 s`)))
    socket.once('error', reject)
    socket.on('data', (chunk) => {
      said += chunk.toString()
      if (!answer.test(said)) return
      socket.destroy()
      resolve()
    })
    socket.once('close', () => reject(new Error(`${name} answered ${said.trim()}`)))
  })
}
