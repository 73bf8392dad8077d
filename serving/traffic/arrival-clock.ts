/**
 * When a request came that is read only now, milliseconds of `performance.now()`: it may have waited in its socket since the event loop last looked there, while the process did
 * other things. For a process that is busy; one that is not reads a request as soon as it comes.
 *
 * @returns the earliest moment at which the request that is being read can have come
 */
export function createArrivalClock(): () => number {
  /** When the event loop had last read what there was. */
  let readAt = Number.POSITIVE_INFINITY
  let idleThen = 0
  let inTurn = false
  let earliest = 0

  function afterReading(): void {
    inTurn = false
    readAt = performance.now()
    idleThen = performance.eventLoopUtilization().idle
  }

  return () => {
    const now = performance.now()
    if (!inTurn) {
      inTurn = true
      setImmediate(afterReading)
      // had it waited for something to come, nothing was there
      const waited = performance.eventLoopUtilization().idle - idleThen > waitedMs
      earliest = waited ? now : readAt
    }
    return Math.min(earliest, now)
  }
}

const waitedMs = 0.5
