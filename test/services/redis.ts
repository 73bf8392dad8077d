import { connect } from 'node:net'
import { basename } from 'node:path'
import { aptInstall } from './binaries.ts'
import { requireDocker, startContainer } from './docker.ts'
import { type Service, freePort, onFreePort, serverFolder, startServer } from './keeper.ts'
import { findBinary } from './redis-server.ts'
import { type Way, givenUrl, startAll } from './ways.ts'

const volatile = ['--save', '', '--appendonly', 'no']

export const redisWays: readonly Way[] = [
  givenUrl('LOCKSTEP_TEST_REDIS_URL'),
  {
    advice: 'Start Docker.',
    async start(count) {
      await requireDocker()
      return startAll(count, () =>
        startContainer({
          name: 'redis:8',
          port: 6379,
          command: ['redis-server', ...volatile],
          environment: {},
          ready: [/Ready to accept connections/, 1],
          url: (host, port) => `redis://${host}:${port}`,
        }),
      )
    },
  },
  {
    advice: 'Install Redis 7.2 or newer, or Valkey, so that "redis-server" or "valkey-server" is in PATH.',
    start: startInstalled,
  },
  {
    advice: 'Run as root on Debian or Ubuntu, where "apt-get install redis-server" is run for you.',
    async start(count) {
      await aptInstall('redis-server')
      return startInstalled(count)
    },
  },
]

async function startInstalled(count: number): Promise<Service[]> {
  const refusals: string[] = []
  for (const name of ['redis-server', 'valkey-server'] as const) {
    try {
      const command = await findBinary(name)
      return await startAll(count, () => onFreePort(() => startRedis(command)))
    } catch (error) {
      refusals.push(`"${name}": ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new Error(refusals.join('; '))
}

/** A server without persistence, on a free port of this machine unless one is given. */
export async function startRedis(
  command: string,
  options: { readonly port?: number; readonly args?: readonly string[] } = {},
): Promise<Service> {
  const folder = await serverFolder('redis', undefined)
  const port = options.port ?? (await freePort())
  return startServer({
    name: command,
    command,
    args: [...volatile, '--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...(options.args ?? [])],
    folder,
    signal: 'TERM',
    user: undefined,
    url: `redis://127.0.0.1:${port}`,
    answers: () => answers(port, basename(folder)),
  })
}

/** Resolves if the Redis at the port runs in the folder of that name. */
function answers(port: number, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('CONFIG GET dir\r\n'))
    socket.setTimeout(2000, () => socket.destroy(new Error('Redis did not answer within 2 s')))
    socket.once('error', reject)
    socket.once('data', (answer) => {
      socket.destroy()
      if (answer.toString().includes(folder)) resolve()
      else reject(new Error(`another Redis has taken the port: it answered ${answer.toString().trim()}`))
    })
    socket.once('close', () => reject(new Error('Redis hung up.')))
  })
}
