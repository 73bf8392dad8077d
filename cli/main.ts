import { run } from './run.ts'

/** How long the work under way may take to stop after a signal. */
const patienceMs = 20_000
const signalCodes = { SIGINT: 130, SIGTERM: 143 } as const

const controller = new AbortController()
let interrupted: number | null = null

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // a second signal is impatience
    if (interrupted !== null) process.exit(signalCodes[signal])
    interrupted = signalCodes[signal]
    controller.abort(new Error(`Stopped by ${signal}.`))
    setTimeout(() => process.exit(signalCodes[signal]), patienceMs).unref()
  })
}

// a reader that has seen enough, as head, is no failure
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))

const exitCode = await run(process.argv.slice(2), controller.signal)
process.exitCode = exitCode === 0 ? 0 : (interrupted ?? exitCode)
