/**
 * When a request arrived that is read now, milliseconds of `performance.now()`. In a busy process it may have waited in
 * its socket since the event loop last read there. A process that is not busy reads a request as soon as it arrives.
 *
 * @returns the earliest moment at which the request that is read now can have arrived
 */
export function createArrivalClock(): () => number {
  /** When the event loop had last read all sockets. */
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
      // if it has waited since, nothing was there before
      const waited = performance.eventLoopUtilization().idle - idleThen > waitedMs
      earliest = waited ? now : readAt
    }
    return Math.min(earliest, now)
  }
}

const waitedMs = 0.5
