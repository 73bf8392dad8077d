import { backoffMs, jitter, orTimeout, sleep, timedOut } from '../../runtime/async.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'

/** How many transactions of one source may wait. The next run of its views folds further ones. */
const maxWaiting = 100_000
/** Transactions that are folded together. */
const maxAtOnce = 64
const retryBackoff = { firstMs: 100, maxMs: 2_000 }

export interface FoldQueueOptions {
  /**
   * Folds what some transactions wrote to the source into the online states. May be done again.
   *
   * @returns false where a view was left to its next run
   */
  readonly fold: (source: string, xids: readonly number[]) => Promise<boolean>
  /** How long `add` and `room` wait at most, milliseconds. Default: 250. */
  readonly waitMs?: number
  /** Called after each fold, of any number of transactions, with its duration. */
  readonly onFold?: (source: string, seconds: number) => void
  /** Called when the folding of a source begins to fail. */
  readonly onFailure?: (source: string, error: unknown) => void
}

/**
 * Folds committed transactions into the online states, one after the other for each source, and retries while the store
 * is down.
 */
export interface FoldQueue {
  /**
   * Resolves with true when the transaction is folded into every view; with false where one is left to its next run, or
   * where it fails or takes too long: then it is folded later.
   */
  add(source: string, xid: number): Promise<boolean>
  /**
   * Resolves when no more than one transaction of the source is left to fold, or where that fails or takes too long:
   * what is to be committed does not wait for a store that is down.
   */
  room(source: string): Promise<void>
  /** Waits for what is left, unless that fails or takes longer. */
  close(limitMs: number): Promise<void>
}

interface Work {
  readonly waiting: { readonly xid: number; readonly settle: (folded: boolean) => void }[]
  failing: boolean
  /** Resolves with the next fold or failure. */
  change: Promise<void>
  changed: () => void
}

export function createFoldQueue(options: FoldQueueOptions): FoldQueue {
  const { waitMs = 250 } = options
  const works = new Map<string, Work>()
  const closed = new AbortController()

  async function run(source: string, work: Work): Promise<void> {
    let failures = 0
    while (work.waiting.length > 0 && !closed.signal.aborted) {
      const next = work.waiting.slice(0, maxAtOnce)
      const start = performance.now()
      let folded: boolean
      try {
        folded = await options.fold(
          source,
          next.map(({ xid }) => xid),
        )
      } catch (error) {
        if (!work.failing) options.onFailure?.(source, error)
        // a permanent failure, such as of a transform, is left to the next run of the view, which reports its reason
        if (!isTemporary(error)) {
          work.waiting.splice(0, next.length)
          for (const { settle } of next) settle(false)
          notify(work)
          continue
        }
        work.failing = true
        for (const { settle } of work.waiting) settle(false)
        notify(work)
        await sleep(jitter(backoffMs(++failures, retryBackoff)), { signal: closed.signal, ref: false })
        continue
      }
      options.onFold?.(source, (performance.now() - start) / 1000)
      work.failing = false
      failures = 0
      work.waiting.splice(0, next.length)
      for (const { settle } of next) settle(folded)
      notify(work)
    }
    works.delete(source)
    for (const { settle } of work.waiting) settle(false)
    notify(work)
  }

  return {
    add(source, xid) {
      const present = works.get(source)
      if (closed.signal.aborted || (present !== undefined && present.waiting.length >= maxWaiting)) return Promise.resolve(false)
      const work = present ?? { waiting: [], failing: false, change: Promise.resolve(), changed: () => {} }
      const folded = new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, waitMs, false)
        const settle = (done: boolean): void => {
          clearTimeout(timer)
          resolve(done)
        }
        work.waiting.push({ xid, settle })
        if (work.failing) settle(false)
      })
      if (present === undefined) {
        notify(work)
        works.set(source, work)
        void run(source, work)
      }
      return folded
    },
    async room(source) {
      const busy = (): Work | undefined => {
        const work = works.get(source)
        return work !== undefined && !work.failing && work.waiting.length > 1 ? work : undefined
      }
      if (busy() === undefined) return
      const until = performance.now() + waitMs
      for (let work = busy(); work !== undefined; work = busy())
        if ((await orTimeout(work.change, until - performance.now())) === timedOut) return
    },
    async close(limitMs) {
      const until = performance.now() + limitMs
      for (const work of works.values())
        while (!work.failing && work.waiting.length > 0) if ((await orTimeout(work.change, until - performance.now())) === timedOut) break
      closed.abort()
    },
  }
}

/** Wakes those who wait for a change. */
function notify(work: Work): void {
  const { changed } = work
  work.change = new Promise((resolve) => (work.changed = resolve))
  changed()
}
