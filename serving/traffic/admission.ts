import type { RequestDeadline } from './request-deadline.ts'

/**
 * Bounds how many requests are under way. Below the limit a request enters at once; at the limit it is held for a moment, and enters when another one leaves or is refused. Up to `crowdFrom` all
 * enter.
 *
 * The limit is `most`, until the process has no time left (its event loop is busy): then it falls for as long as there is none, to the fewest that keep it busy, as more would only make each other
 * wait, and grows as soon as there is some: those under way wait for something else then. Of those that are held the oldest enters first while that has waited for `waitMs` at most; where more come
 * than leave, the newest does, which still has its time before it, and the oldest are refused. To hold them costs next to nothing, and a client that waits for its refusal does not ask again meanwhile.
 */
export interface Admission {
  /**
   * Has the request run, now or later, or refused. Whoever has run calls `leave`.
   */
  enter(request: Admitted): void
  leave(): void
  /** Takes note of how many have left and how busy the process was; to be called every few milliseconds. */
  sample(): void
  readonly inFlight: number
  readonly limit: number
  /** Whether the process had no time left lately. */
  readonly isBusy: boolean
  close(): void
}

/** What asks to be let in. */
export interface Admitted {
  run(): void
  refuse(): void
  /** By `now`; undefined: it has none. */
  readonly deadline: RequestDeadline | undefined
}

export interface AdmissionOptions {
  readonly most: number
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** How much of the time since it was last asked the process was busy, 0 to 1. */
  readonly busy: () => number
  readonly onRefuse?: () => void
}

interface Held {
  readonly request: Admitted
  readonly since: number
  readonly until: number
}

/** Of a busy process before which a crowd waits. Each costs memory that young collections copy: by 128 it answers a tenth less than by 16. */
const minOfAll = 16
/** By how much the limit changes with each sample. */
const fall = 0.9
const rise = 1.5
/** So many, under way and held, are no crowd. */
const crowdFrom = 128
/** Of a busy process, those that have waited for longer are not let in any more: who comes now is, and they are refused when their time is over. */
const waitMs = 12
/** How long a request is held: two milliseconds for each that is, within these bounds. So about 500 in a second are refused while that can be, for a refusal takes time too. */
const holdLeastMs = 50
const holdMostMs = 1000
const holdMsOfEach = 2
/** Beyond so many that are held, the next is refused at once. */
const heldAtMost = 10_000
/** A shorter time says nothing of how busy it was. */
const sampleLeastMs = 5
const busyFrom = 0.85
/** How long it counts as busy after it was. */
const busyForMs = 500
/** From here on it has no time left. */
const fullFrom = 0.98
/** How much a new sample counts for in the rate. */
const weight = 0.2

export function createAdmission({ most, now, busy, onRefuse }: AdmissionOptions): Admission {
  const least = Math.min(most, minOfAll)
  const crowd = Math.min(most, crowdFrom)
  let inFlight = 0
  let left = 0
  let limit = most
  /** Requests that leave in a millisecond. */
  let rate = 0
  let sampledAt = now()
  let busyUntil = Number.NEGATIVE_INFINITY
  /** In the order of their arrival from `first` on. */
  let held: Held[] = []
  let first = 0
  let sweeping: NodeJS.Timeout | null = null
  /** Whoever is let in may leave at once: the loop that let it in goes on with the next. */
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
    limit = load >= fullFrom ? Math.max(least, Math.floor(limit * fall)) : Math.min(most, Math.ceil(limit * rise))
    fill()
  }

  function refuse({ request }: Held): void {
    onRefuse?.()
    request.refuse()
  }

  /** @param more of those that come, and are not counted yet */
  function isCrowd(more: number): boolean {
    return inFlight + held.length - first + more > crowd
  }

  /** Refuses the oldest that have been held for too long. */
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
      letIn()
    } finally {
      filling = false
    }
  }

  function letIn(): void {
    const at = now()
    expire(at)
    while (first < held.length && (inFlight < limit || !isCrowd(0))) {
      const inOrder = at >= busyUntil || !isCrowd(0) || at - (held[first] as Held).since <= waitMs
      const newest = held[held.length - 1] as Held
      if (!inOrder && at - newest.since > waitMs) return
      const one = inOrder ? (held[first++] as Held) : newest
      if (!inOrder) held.pop()
      // by what is under way, it would not be done in time
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
      // a crowd comes between two samples
      if (inFlight >= least && now() - sampledAt >= sampleLeastMs) sample()
      if (inFlight < limit || !isCrowd(1)) {
        inFlight++
        request.run()
        return
      }
      const since = now()
      const heldNow = held.length - first
      const holdMs = Math.min(holdMostMs, Math.max(holdLeastMs, heldNow * holdMsOfEach))
      const one = { request, since, until: Math.min(since + holdMs, deadlineAt(request)) }
      if (heldNow >= heldAtMost) return refuse(one)
      held.push(one)
      sweeping ??= setInterval(sweep, 10).unref()
    },
    leave() {
      inFlight--
      left++
      fill()
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
