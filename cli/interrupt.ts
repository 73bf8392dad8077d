import { LockstepError } from '../kernel/errors.ts'

/**
 * How long the work under way may take to stop after a signal. A server finishes its requests first, and may be told to
 * wait before it does.
 */
const patienceMs = 20_000
export const serverPatienceMs = 29_000
const codes = { SIGINT: 130, SIGTERM: 143 } as const

export interface Interrupt {
  /** Aborted at the first SIGINT or SIGTERM, with a `STOPPED`. */
  readonly signal: AbortSignal
  /** What a process that was told to end before its work was done exits with: 130 or 143. null: it was not. */
  exitCode(): number | null
}

/**
 * Listens for the signals that tell a process to end. A second one ends it at once.
 *
 * @param withinMs after which it ends whatever it does
 */
export function createInterrupt(withinMs = patienceMs): Interrupt {
  const controller = new AbortController()
  let exitCode: number | null = null
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (exitCode !== null) process.exit(codes[signal])
      exitCode = codes[signal]
      controller.abort(new LockstepError('STOPPED', `Stopped by ${signal} before it was done.`))
      setTimeout(() => process.exit(codes[signal]), withinMs).unref()
    })
  }
  return { signal: controller.signal, exitCode: () => exitCode }
}
