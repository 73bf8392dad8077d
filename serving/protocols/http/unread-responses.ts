import type { ServerResponse } from 'node:http'

const sweepMs = 100

/** Answers that their clients have not taken in yet: what is over its time is cut, with its connection. */
export interface UnreadAnswers {
  /**
   * Watches an answer that was written and that the connection has not taken whole.
   *
   * @param until milliseconds of `performance.now()`
   */
  watch(outgoing: ServerResponse, until: number): void
}

export function createUnreadAnswers(): UnreadAnswers {
  const watched = new Map<ServerResponse, number>()
  let sweeping: NodeJS.Timeout | null = null

  function sweep(): void {
    const now = performance.now()
    for (const [outgoing, until] of watched) {
      if (!outgoing.destroyed && now < until) continue
      watched.delete(outgoing)
      outgoing.destroy()
    }
    if (watched.size > 0 || sweeping === null) return
    clearInterval(sweeping)
    sweeping = null
  }

  return {
    watch(outgoing, until) {
      watched.set(outgoing, until)
      sweeping ??= setInterval(sweep, sweepMs).unref()
    },
  }
}
