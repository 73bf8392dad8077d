import { keepCompiled } from '../runtime/compile-cache.ts'

keepCompiled()
const args = process.argv.slice(2)
// a reader that has seen enough, as head, is no failure; what goes on for long says all that matters in its log
const command = args.find((word) => !word.startsWith('-'))
const stays = command === 'serve' || command === 'worker'
process.stdout.on('error', (error: NodeJS.ErrnoException) => (stays ? undefined : process.exit(error.code === 'EPIPE' ? 0 : 1)))
// nor does an error end what cannot be told of it
process.stderr.on('error', () => undefined)

const { createInterrupt, serverPatienceMs } = await import('./interrupt.ts')
const interrupt = createInterrupt(command === 'serve' ? serverPatienceMs : undefined)
const { run } = await import('./run.ts')
const exitCode = await run(args, interrupt.signal)
process.exitCode = exitCode === 0 ? 0 : (interrupt.exitCode() ?? exitCode)
// all is closed; an embedded database that could not start may still have a timer, which would keep the process for
// ever
setTimeout(() => process.exit(), 1_000).unref()
