import type { Admitted } from './admission.ts'

/**
 * Runs requests one after the other, with a pause between them: so they take little of the process, however many there
 * are.
 */
export interface Paced {
  /** Runs the request, now or in its turn, or refuses it where too many wait. */
  enter(request: Pick<Admitted, 'run' | 'refuse'>): void
  close(): void
}

/** So at most 1,000 run in a second, and other work runs in between. */
const pauseMs = 1
const maxWaiting = 1000

export function createPaced(onRefuse: () => void): Paced {
  const waiting: Pick<Admitted, 'run' | 'refuse'>[] = []
  let pausing: NodeJS.Timeout | null = null

  function enter(request: Pick<Admitted, 'run' | 'refuse'>): void {
    if (pausing === null) {
      pausing = setTimeout(next, pauseMs)
      request.run()
    } else if (waiting.length < maxWaiting) waiting.push(request)
    else refuse(request)
  }

  function next(): void {
    pausing = null
    const request = waiting.shift()
    if (request !== undefined) enter(request)
  }

  function refuse(request: Pick<Admitted, 'run' | 'refuse'>): void {
    onRefuse()
    request.refuse()
  }

  return {
    enter,
    close() {
      if (pausing !== null) clearTimeout(pausing)
      pausing = null
      for (const request of waiting.splice(0)) refuse(request)
    },
  }
}
