import { LockstepError, messageOf } from '../kernel/errors.ts'
import { withTimeout } from './async.ts'
import type { Logger } from './log.ts'

const closeTimeoutMs = 15_000
const signals = ['SIGINT', 'SIGTERM'] as const

/** What must be closed before the process ends, in the order in which it was opened. */
export interface Lifecycle {
  /** Registers something that is open now. What is added while all is being closed is closed as well. */
  add(name: string, close: () => Promise<void> | void): void
  /**
   * Closes all, last opened first, once: a second call waits for the first. A close that fails does not keep the others from theirs.
   *
   * @throws LockstepError `INTERNAL`, which names what failed to close or was not closed in time
   */
  close(): Promise<void>
  /** From now on SIGINT and SIGTERM close all and end the process, with exit code 0 if all closed; a second signal ends it at once. */
  closeOnSignals(): void
}

/** @param options.timeoutMs for closing all, 15 s where it is not given */
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
