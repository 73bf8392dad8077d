import { connect } from 'node:net'
import { join } from 'node:path'
import { aptInstall, binaryFolders, isExecutable } from './binaries.ts'
import { requireDocker, startContainer } from './docker.ts'
import { type Service, freePort, serverFolder, startServer } from './keeper.ts'
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
  for (const folder of await binaryFolders()) {
    for (const name of ['redis-server', 'valkey-server']) {
      const command = join(folder, name)
      if (await isExecutable(command)) return startAll(count, () => startRedis(command))
    }
  }
  throw new Error('neither was found')
}

async function startRedis(command: string): Promise<Service> {
  const folder = await serverFolder('redis', undefined)
  const port = await freePort()
  return startServer({
    name: command,
    command,
    args: [...volatile, '--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
    folder,
    signal: 'TERM',
    user: undefined,
    url: `redis://127.0.0.1:${port}`,
    answers: () => ping(port),
  })
}

function ping(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.setTimeout(2000, () => socket.destroy(new Error('Redis did not answer within 2 s')))
    socket.once('error', reject)
    socket.once('data', (answer) => {
      socket.destroy()
      if (answer.toString().startsWith('+PONG')) resolve()
      else reject(new Error(`Redis answered ${answer.toString().trim()}`))
    })
  })
}
