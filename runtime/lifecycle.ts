import { LockstepError, messageOf } from '../kernel/errors.ts'
import { withTimeout } from './async.ts'
import type { Logger } from './log.ts'

const closeTimeoutMs = 15_000
const signals = ['SIGINT', 'SIGTERM'] as const

/** Closes open resources before the process ends, in reverse order of opening. */
export interface Lifecycle {
  /** Registers an open resource. A resource that is added during closing is also closed. */
  add(name: string, close: () => Promise<void> | void): void
  /**
   * Closes all resources, the last opened first. A second call waits for the first. If one close fails, the others
   * still run.
   *
   * @throws LockstepError `INTERNAL`, which names the resources that failed to close or were not closed in time
   */
  close(): Promise<void>
  /**
   * Makes SIGINT and SIGTERM close all resources and end the process, with exit code 0 if all closed. A second signal
   * ends it at once.
   */
  closeOnSignals(): void
}

/** @param options.timeoutMs the time limit for closing all resources; default 15 s */
export function createLifecycle(log: Logger, options: { timeoutMs?: number } = {}): Lifecycle {
  const timeoutMs = options.timeoutMs ?? closeTimeoutMs
  const open: { name: string; close: () => Promise<void> | void }[] = []
  let current = ''
  let closing: Promise<void> | null = null

  async function closeAll(): Promise<void> {
    const failures: string[] = []
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      current = next.name
      try {
        await next.close()
      } catch (error) {
        failures.push(`"${next.name}" (${messageOf(error)})`)
      }
    }
    if (failures.length > 0) throw new LockstepError('INTERNAL', `Closing failed: ${failures.join(', ')}.`)
  }

  const lifecycle: Lifecycle = {
    add(name, close) {
      open.push({ name, close })
      closing
        ?.catch(() => undefined)
        .then(closeAll)
        .catch((error: unknown) => log.error({ err: error }, 'closing failed'))
    },
    close() {
      closing ??= withTimeout(
        closeAll(),
        timeoutMs,
        () => new LockstepError('INTERNAL', `"${current}" was not closed within ${timeoutMs} ms.`),
      )
      return closing
    },
    closeOnSignals() {
      let signalled = false
      const onSignal = (signal: NodeJS.Signals) => {
        if (signalled) process.exit(1)
        signalled = true
        log.info({ signal }, 'closing')
        lifecycle.close().then(
          () => process.exit(0),
          (error: unknown) => {
            log.error({ err: error }, 'closing failed')
            process.exit(1)
          },
        )
      }
      for (const signal of signals) process.on(signal, onSignal)
    },
  }
  return lifecycle
}
