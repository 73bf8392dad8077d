import type { RequestDeadline } from './request-deadline.ts'

/**
 * Bounds how many requests are in flight.
 *
 * - Below the limit a request enters at once. Up to `crowdFrom` requests all enter, whatever the limit.
 * - At the limit a request is held. It enters when another leaves, or is refused.
 * - The limit is `max`. While the event loop is busy all the time, the limit falls step by step, down to `minBusy`:
 *   more requests would only make each other wait. As soon as the event loop has time left, the limit rises again.
 * - The oldest of the held requests enters first, as long as it has waited no longer than `waitMs`. After that the
 *   newest enters first: it still has its time before it, and the oldest are refused.
 *
 * Holding a request costs next to nothing, and a client that waits for its refusal does not send the next one
 * meanwhile.
 */
export interface Admission {
  /** Runs the request, now or later, or refuses it. A request that has run calls `leave`. */
  enter(request: Admitted): void
  leave(): void
  /** A request waits for its turn elsewhere: it is not in flight until it resumes, whatever the limit. */
  pause(): void
  resume(): void
  /** Measures how many have left and how busy the process was. Call it every few milliseconds. */
  sample(): void
  readonly inFlight: number
  readonly limit: number
  /** Whether the process was busy recently. */
  readonly isBusy: boolean
  close(): void
}

/** A request that asks to enter. */
export interface Admitted {
  run(): void
  refuse(): void
  /** By `now`; undefined: it has none. */
  readonly deadline: RequestDeadline | undefined
}

export interface AdmissionOptions {
  /** How many may be in flight. */
  readonly max: number
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** The share of the time since the last call in which the process was busy, 0 to 1. */
  readonly busy: () => number
  readonly onRefuse?: () => void
}

interface Held {
  readonly request: Admitted
  readonly since: number
  readonly until: number
}

/**
 * The least that the limit falls to. Each request in flight costs memory, which young collections copy: with 128 a busy
 * process answers a tenth less than with 16.
 */
const minBusy = 16
/** The factors by which the limit changes with each sample. */
const fall = 0.9
const rise = 1.5
/** Fewer requests than this, in flight and held, all enter. */
const crowdFrom = 128
/** In a busy process a request that has waited longer does not enter any more, and is refused when its time is over. */
const waitMs = 12
/**
 * How long a request is held: 2 ms for each held request, within these bounds. So about 500 are refused in a second, as
 * a refusal takes time too.
 */
const minHoldMs = 50
const maxHoldMs = 1000
const holdMsOfEach = 2
/** Beyond so many held requests, the next is refused at once. */
const maxHeld = 10_000
/** A shorter sample does not show how busy the process was. */
const minSampleMs = 5
const busyFrom = 0.85
/** How long the process counts as busy after it was. */
const busyForMs = 500
/** From this share on the process has no time left. */
const fullFrom = 0.98
/** The weight of a new sample in the rate. */
const weight = 0.2

export function createAdmission({ max, now, busy, onRefuse }: AdmissionOptions): Admission {
  const min = Math.min(max, minBusy)
  const crowd = Math.min(max, crowdFrom)
  let inFlight = 0
  let left = 0
  let limit = max
  /** Requests that leave in a millisecond. */
  let rate = 0
  let sampledAt = now()
  let busyUntil = Number.NEGATIVE_INFINITY
  /** In the order of their arrival from `first` on. */
  let held: Held[] = []
  let first = 0
  let sweeping: NodeJS.Timeout | null = null
  /** Whether `fill` runs: a request that enters may leave at once, and calls it again. */
  let filling = false

  function sample(): void {
    const at = now()
    const elapsed = at - sampledAt
    if (elapsed <= 0) return
    rate += (left / elapsed - rate) * weight
    left = 0
    sampledAt = at
    const load = busy()
    if (load >= busyFrom) busyUntil = at + busyForMs
    limit = load >= fullFrom ? Math.max(min, Math.floor(limit * fall)) : Math.min(max, Math.ceil(limit * rise))
    fill()
  }

  function refuse({ request }: Held): void {
    onRefuse?.()
    request.refuse()
  }

  /** @param more requests that arrive, and are not counted yet */
  function isCrowd(more: number): boolean {
    return inFlight + held.length - first + more > crowd
  }

  /** Refuses the oldest requests that were held for too long. */
  function expire(at: number): void {
    while (first < held.length && (held[first] as Held).until <= at) refuse(held[first++] as Held)
    if (first > 1000 && first * 2 > held.length) {
      held = held.slice(first)
      first = 0
    }
  }

  function fill(): void {
    if (filling || first === held.length) return
    filling = true
    try {
      admit()
    } finally {
      filling = false
    }
  }

  function admit(): void {
    const at = now()
    expire(at)
    while (first < held.length && (inFlight < limit || !isCrowd(0))) {
      const inOrder = at >= busyUntil || !isCrowd(0) || at - (held[first] as Held).since <= waitMs
      const newest = held[held.length - 1] as Held
      if (!inOrder && at - newest.since > waitMs) return
      const one = inOrder ? (held[first++] as Held) : newest
      if (!inOrder) held.pop()
      // the requests in flight leave it no time
      if (rate > 0 && at + inFlight / rate >= deadlineAt(one.request)) {
        refuse(one)
        continue
      }
      inFlight++
      one.request.run()
    }
  }

  function sweep(): void {
    fill()
    if (first < held.length) return
    held = []
    first = 0
    if (sweeping !== null) clearInterval(sweeping)
    sweeping = null
  }

  return {
    enter(request) {
      // many may arrive between two samples
      if (inFlight >= min && now() - sampledAt >= minSampleMs) sample()
      if (inFlight < limit || !isCrowd(1)) {
        inFlight++
        request.run()
        return
      }
      const since = now()
      const heldNow = held.length - first
      const holdMs = Math.min(maxHoldMs, Math.max(minHoldMs, heldNow * holdMsOfEach))
      const one = { request, since, until: Math.min(since + holdMs, deadlineAt(request)) }
      if (heldNow >= maxHeld) return refuse(one)
      held.push(one)
      sweeping ??= setInterval(sweep, 10).unref()
    },
    leave() {
      inFlight--
      left++
      fill()
    },
    pause() {
      inFlight--
      fill()
    },
    resume() {
      inFlight++
    },
    sample,
    get inFlight() {
      return inFlight
    },
    get limit() {
      return limit
    },
    get isBusy() {
      return sampledAt < busyUntil
    },
    close() {
      if (sweeping !== null) clearInterval(sweeping)
      sweeping = null
      const rest = held.slice(first)
      held = []
      first = 0
      for (const one of rest) refuse(one)
    },
  }
}

function deadlineAt({ deadline }: Admitted): number {
  return deadline?.at ?? Number.POSITIVE_INFINITY
}
