import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

/** Pages of the dashboard that are open in browsers. */
export interface OpenPages {
  readonly url: string
  readonly cookie: string
  readonly pages: number
  /** What each page reads, one after the other. */
  readonly paths: readonly string[]
  /** How often each page reads. The pages are spread evenly over that time. */
  readonly everyMs: number
}

/** A thread in place of browsers: it reads what open pages read. `true` opens the pages, `false` shuts them. */
const { url, cookie, pages, paths, everyMs } = workerData as OpenPages
const headers = { 'x-lockstep-ui': '1', 'sec-fetch-site': 'same-origin', origin: url, cookie }
let asked = 0
let shut = new AbortController()
let all: Promise<unknown> = Promise.resolve()

async function page(index: number, signal: AbortSignal): Promise<void> {
  await sleep((index * everyMs) / pages, null, { signal })
  for (;;) {
    for (const path of paths) {
      const answer = await fetch(`${url}/ui/api/${path}`, { headers })
      if (!answer.ok) throw new Error(`The dashboard answered ${answer.status}: ${await answer.text()}`)
      await answer.arrayBuffer()
      asked++
    }
    await sleep(everyMs, null, { signal })
  }
}

parentPort?.on('message', (open: boolean) => {
  if (open) {
    shut = new AbortController()
    const { signal } = shut
    const ends = (error: unknown) => {
      if (!signal.aborted) throw error
    }
    all = Promise.all(Array.from({ length: pages }, (_, index) => page(index, signal).catch(ends)))
  } else shut.abort()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  void (open ? Promise.resolve() : all).then(() => parentPort?.postMessage(asked))
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage(0)
