import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { readAfterMs } from '../../ui/api/read-every.ts'

/** Tabs of the dashboard that are open in browsers. */
export interface OpenTabs {
  readonly url: string
  readonly cookie: string
  readonly tabs: readonly Tab[]
  /** Whether the tabs ask, as often, for an answer that costs nothing: the least that open tabs can cost. */
  readonly isFloor: boolean
}

/** The reads of a tab, and how often it repeats them. */
export interface Tab {
  /** When it opens, after the first of them: all its reads begin then. */
  readonly fromMs: number
  readonly reads: readonly { readonly path: string; readonly everyMs: number }[]
}

export interface Asked {
  readonly answers: number
  /** Of these, how many were 304: the tab has these data. */
  readonly unchanged: number
}

/**
 * A thread in place of browsers: it reads what open tabs read, with the ETags that they have. `true` resumes it,
 * `false` pauses it. The clock of the tabs stops in a pause, so that a minute of slices has the reads of a minute.
 */
const { url, cookie, tabs, isFloor } = workerData as OpenTabs
const headers = { 'x-lockstep-ui': '1', 'sec-fetch-site': 'same-origin', origin: url, cookie }
const etags = new Map<string, string>()
const reads = tabs.flatMap((tab) => tab.reads.map((each) => ({ ...each, dueMs: tab.fromMs, unchanged: 0 })))
const asked = { answers: 0, unchanged: 0 }
let [openMs, beganMs] = [0, 0]
let shut = new AbortController()
let all: Promise<unknown> = Promise.resolve()

/** @returns whether the answer has something new */
async function ask(path: string): Promise<boolean> {
  const etag = etags.get(path)
  const answer = await fetch(isFloor ? `${url}/livez` : `${url}/ui/api/${path}`, {
    headers: etag === undefined ? headers : { ...headers, 'if-none-match': etag },
  })
  if (!answer.ok && answer.status !== 304) throw new Error(`The dashboard answered ${answer.status}: ${await answer.text()}`)
  await answer.arrayBuffer()
  etags.set(path, answer.headers.get('etag') ?? '')
  asked.answers++
  if (answer.status !== 304) return !isFloor
  asked.unchanged++
  return false
}

async function readAgain(read: (typeof reads)[number], signal: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(Math.max(0, read.dueMs - openMs - (performance.now() - beganMs)), null, { signal })
    read.unchanged = (await ask(read.path)) ? 0 : read.unchanged + 1
    read.dueMs += readAfterMs(read.everyMs, read.unchanged)
  }
}

parentPort?.on('message', (open: boolean) => {
  if (open) {
    shut = new AbortController()
    beganMs = performance.now()
    const { signal } = shut
    const ends = (error: unknown) => {
      if (!signal.aborted) throw error
    }
    all = Promise.all(reads.map((read) => readAgain(read, signal).catch(ends)))
  } else {
    openMs += performance.now() - beganMs
    shut.abort()
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  void (open ? Promise.resolve() : all).then(() => parentPort?.postMessage(asked))
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(asked)
