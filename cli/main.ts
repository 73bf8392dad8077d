import { keepCompiled } from '../runtime/compile-cache.ts'

keepCompiled()
const args = process.argv.slice(2)
// a reader that closes the pipe early, such as head, is not a failure; long-running commands report through their log,
// and half of a binary result is one
const command = args.find((word) => !word.startsWith('-'))
const stays = command === 'serve' || command === 'worker' || command === 'dev' || command === 'partition'
process.stdout.on('error', (error: NodeJS.ErrnoException) => (stays ? undefined : process.exit(error.code === 'EPIPE' ? 0 : 1)))
// an error that cannot be printed does not end the process
process.stderr.on('error', () => undefined)

const { createInterrupt, serverPatienceMs } = await import('./interrupt.ts')
const interrupt = createInterrupt(command === 'serve' || command === 'dev' ? serverPatienceMs : undefined)
const { run } = await import('./run.ts')
const exitCode = await run(args, interrupt.signal)
process.exitCode = exitCode === 0 ? 0 : (interrupt.exitCode() ?? exitCode)
// Everything is closed. An embedded database that could not start may still have a timer, which would keep the process
// alive forever.
setTimeout(() => process.exit(), 1_000).unref()
