import type { ServerResponse } from 'node:http'

const sweepMs = 100

/** Responses that their clients have yet to read. Past its time a response is cut, with its connection. */
export interface UnreadResponses {
  /**
   * Watches a response of which the socket has not taken all.
   *
   * @param until milliseconds of `performance.now()`
   */
  watch(outgoing: ServerResponse, until: number): void
}

export function createUnreadResponses(): UnreadResponses {
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
