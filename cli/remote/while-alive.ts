import { orTimeout, timedOut } from '../../runtime/async.ts'
import { silentServer } from './server-errors.ts'

/**
 * Waits for work of a server, as long as that lives: whenever the server has sent nothing for a while, it is asked for
 * `/livez`. Anything that answers there counts, even a proxy.
 *
 * @param end aborted where the server is silent
 * @throws LockstepError `SERVER_UNAVAILABLE` if the server is silent, and what `work` throws
 */
export type WhileAlive = <T>(work: Promise<T>, end: AbortController | undefined) => Promise<T>

export function createWhileAlive(
  url: string,
  { signal, silenceMs }: { readonly signal: AbortSignal; readonly silenceMs: number },
): WhileAlive {
  async function isAlive(): Promise<boolean> {
    try {
      const response = await fetch(`${url}/livez`, {
        signal: AbortSignal.any([signal, AbortSignal.timeout(silenceMs)]),
        redirect: 'manual',
      })
      await response.body?.cancel()
      return true
    } catch {
      signal.throwIfAborted()
      return false
    }
  }

  return async (work, end) => {
    for (;;) {
      const result = await orTimeout(work, silenceMs)
      if (result !== timedOut) return result
      if (await isAlive()) continue
      end?.abort()
      throw silentServer(url, 2 * silenceMs)
    }
  }
}
