import { messageOf } from '../kernel/errors.ts'
import type { Backoff } from './async.ts'
import { backoffMs, jitter, sleep } from './async.ts'

const defaultBackoff: Backoff = { firstMs: 100, maxMs: 5_000 }

export interface KeepTryingOptions {
  readonly signal: AbortSignal
  /** @param isNew whether it failed otherwise before, or not at all */
  readonly onFailure: (error: unknown, isNew: boolean) => void
  /** Called when something works again. */
  readonly onOver: () => void
  /** Default: from 100 ms to 5 s. */
  readonly backoff?: Backoff
}

/** Runs something until it works, with growing pauses; null where the signal comes first. */
export type KeepTrying = <T>(action: () => Promise<T>) => Promise<T | null>

export function createKeepTrying({ signal, onFailure, onOver, backoff = defaultBackoff }: KeepTryingOptions): KeepTrying {
  let reported: string | null = null
  return async (action) => {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const result = await action()
        if (reported !== null) onOver()
        reported = null
        return result
      } catch (error) {
        if (signal.aborted) break
        onFailure(error, reported !== messageOf(error))
        reported = messageOf(error)
        await sleep(jitter(backoffMs(failures, backoff)), { signal })
      }
    }
    return null
  }
}
