import { join } from 'node:path'
import { rootFolder } from '../source-files.ts'
import { run } from './peer-server.ts'

// Runs the tests of Kafka, those of transactions included, against a broker of your choice: `node test/peers/kafka.ts
// kafka://HOST:9092 [OPTIONS]`. It must advertise 127.0.0.1:19092, where the tests put a proxy, and let clients create
// topics. Topics and groups of the tests stay on it, so use a fresh broker for each run. The options are those of vitest.
const [url = process.env['LOCKSTEP_TEST_KAFKA_URL'] ?? '', ...options] = process.argv.slice(2)
if (!/^kafkas?:\/\//.test(url)) throw new Error('Name the broker: node test/peers/kafka.ts kafka://host:9092')
const files = [
  'runtime/streams/kafka-consumer',
  'runtime/streams/stream-sink',
  'materializer/streams/consume-kafka',
  'serving/streaming/pipelines',
]
const words = ['run', ...files.map((file) => `test/${file}.test.ts`), '--no-file-parallelism', '--typecheck.enabled=false', ...options]
run(process.execPath, [join(rootFolder, 'node_modules/vitest/vitest.mjs'), ...words], {
  cwd: rootFolder,
  env: { ...process.env, LOCKSTEP_TEST_KAFKA_URL: url },
})
