import { createInterrupt } from './interrupt.ts'
import { run } from './run.ts'

// a reader that has seen enough, as head, is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const interrupt = createInterrupt()
const exitCode = await run(process.argv.slice(2), interrupt.signal)
process.exitCode = exitCode === 0 ? 0 : (interrupt.exitCode() ?? exitCode)
// all is closed; an embedded database that could not start may still have a timer, which would keep the process for ever
setTimeout(() => process.exit(), 1_000).unref()
