import { createProcessPool } from '../../inference/process-pool.ts'
import { endlessModel } from '../inference/made-models.ts'

// A process whose model runs forever, in a child process: it reports the child's id, and is then killed.
const modelProcess = createProcessPool().take()
await modelProcess.load(endlessModel(), 'endless', 60_000)
void modelProcess.run({ features: { type: 'float32', dims: [1, 3], data: new Float32Array([0, 0, 4e18]) } }, ['out'], 3_600_000)
process.stdout.write(`${modelProcess.pid}\n`)
setInterval(() => undefined, 1000)
