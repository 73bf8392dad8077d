import { LockstepError } from '../kernel/errors.ts'

/**
 * How long running work may take to stop after a signal. A server finishes its requests first, and may be configured to
 * wait before it does.
 */
const patienceMs = 20_000
export const serverPatienceMs = 29_000
const codes = { SIGINT: 130, SIGTERM: 143 } as const

export interface Interrupt {
  /** Aborted at the first SIGINT or SIGTERM, with a `STOPPED`. */
  readonly signal: AbortSignal
  /** The exit code of a process that was asked to end before its work was done: 130 or 143. null: it was not. */
  exitCode(): number | null
}

/**
 * Listens for the signals that ask a process to end. A second one ends it at once.
 *
 * @param withinMs the process ends at the latest after this time
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

/** Waits until the process is asked to end. */
export async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}
