import { fileURLToPath } from 'node:url'
import { createLogger } from '../../../runtime/log.ts'
import { createWorkerPool } from '../../../runtime/workers/pool.ts'

// A pool of one worker that checks it often. It logs to standard output.
const pool = createWorkerPool({
  file: fileURLToPath(new URL('./silent-worker.ts', import.meta.url)),
  count: 1,
  task: { host: '', port: 0, grpcPort: null, asOf: null, onUnavailable: null },
  log: createLogger('info', { write: (line) => void process.stdout.write(line) }),
  lookMs: 200,
})
await pool.start()
process.once('SIGTERM', () => void pool.close().then(() => process.exit(0)))
