import { Admin, Producer } from '@platformatic/kafka'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { messageOf } from '../../kernel/errors.ts'
import { quieted } from '../../runtime/streams/kafka-client.ts'
import { kafkaReason } from '../../runtime/streams/kafka-reason.ts'
import { restartableKafka } from '../services/kafka.ts'
import { rootFolder } from '../source-files.ts'
import { run } from './peer-server.ts'

// Runs the tests of Kafka, those of transactions included, against a broker of your choice: `node test/peers/kafka.ts
// kafka://HOST:9092 [OPTIONS]`. It must advertise 127.0.0.1:19092, where the tests put a proxy, and let clients create
// topics. Topics and groups of the tests stay on it, so use a fresh broker for each run. The options are those of
// vitest.

const advertised = '127.0.0.1:19092'
const files = [
  'runtime/streams/kafka-consumer',
  'runtime/streams/stream-sink',
  'materializer/streams/consume-kafka',
  'serving/streaming/pipelines',
]

const [url = process.env['LOCKSTEP_TEST_KAFKA_URL'] ?? '', ...options] = process.argv.slice(2)
try {
  if (!/^kafka:\/\/[^@]+$/.test(url)) throw new Error('Name a broker without TLS and users: node test/peers/kafka.ts kafka://host:9092')
  process.env['LOCKSTEP_TEST_KAFKA_URL'] = url
  const refusal = await reasonAgainstTransactions()
  if (refusal !== null) {
    process.env['LOCKSTEP_TEST_KAFKA_TRANSACTIONS'] = 'none'
    process.stdout.write(`The broker makes no transactions: ${refusal}. A coordinator of the tests makes them in front of it.\n`)
  }
  const words = ['run', ...files.map((file) => `test/${file}.test.ts`), '--no-file-parallelism', '--typecheck.enabled=false', ...options]
  run(process.execPath, [join(rootFolder, 'node_modules/vitest/vitest.mjs'), ...words], { cwd: rootFolder })
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exitCode = 1
}

/** Without the advice, which is for users. */
function reasonOf(error: unknown): string {
  return kafkaReason(error).replace(/\.( .*)?$/s, '')
}

/** Writes a message in a transaction. @returns null: it can */
async function reasonAgainstTransactions(): Promise<string | null> {
  const server = await restartableKafka()
  const client = { clientId: 'peer', bootstrapBrokers: [new URL(server.url).host], timeout: 10_000, retries: 5, retryDelay: 500 }
  const [admin, topic] = [quieted(new Admin(client)), `peer_${randomUUID()}`]
  const producer = quieted(
    new Producer({ ...client, acks: -1, idempotent: true, transactionalId: topic, producerId: -1n, producerEpoch: -1 }),
  )
  const refused = (what: string) => (cause: unknown) => {
    throw new Error(`The broker at "${url}" ${what}: ${reasonOf(cause)}.`, { cause })
  }
  try {
    const { brokers } = await admin.metadata({ topics: [] }).catch(refused('does not answer'))
    const found = [...brokers.values()].map(({ host, port }) => `${host}:${port}`).join(', ')
    if (found !== advertised) throw new Error(`The broker at "${url}" advertises ${found}. Let it advertise ${advertised} alone.`)
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }).catch(refused('creates no topic'))
    const transact = async (): Promise<null> => {
      const transaction = await producer.beginTransaction()
      await transaction.send({ messages: [{ topic, value: Buffer.from('a') }] })
      await transaction.commit()
      return null
    }
    return await transact().catch(reasonOf)
  } finally {
    await Promise.allSettled([producer.close(true), admin.close()])
    await server.remove()
  }
}
