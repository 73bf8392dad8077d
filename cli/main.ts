import { keepCompiled } from '../runtime/compile-cache.ts'

keepCompiled()
// a reader that has seen enough, as head, is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const args = process.argv.slice(2)
const { createInterrupt, serverPatienceMs } = await import('./interrupt.ts')
const interrupt = createInterrupt(args[0] === 'serve' ? serverPatienceMs : undefined)
const { run } = await import('./run.ts')
const exitCode = await run(args, interrupt.signal)
process.exitCode = exitCode === 0 ? 0 : (interrupt.exitCode() ?? exitCode)
// all is closed; an embedded database that could not start may still have a timer, which would keep the process for ever
setTimeout(() => process.exit(), 1_000).unref()
