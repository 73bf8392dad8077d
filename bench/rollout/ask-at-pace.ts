import { once } from 'node:events'
import { connect } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread asks a server. */
export interface Paced {
  readonly port: number
  readonly connections: number
  /** Complete requests, which are sent in turn. */
  readonly requests: readonly string[]
  readonly perSecond: number
}

/** A thread that sends requests at a fixed rate, and measures from the moment at which each was due. */
const { port, connections, requests, perSecond } = workerData as Paced
const sockets = await Promise.all(
  Array.from({ length: connections }, async () => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    await once(socket, 'connect')
    return { socket, dueMs: [] as number[] }
  }),
)
let times: number[] = []
for (const { socket, dueMs } of sockets) {
  socket.on('data', (data: Buffer) => {
    const now = performance.now()
    // answers of one connection are in order, and several may come at once
    const answers = data.toString('latin1').split('HTTP/1.1 ').slice(1)
    for (const answer of answers) {
      if (!answer.startsWith('200')) throw new Error(answer)
      times.push(now - (dueMs.shift() ?? now))
    }
  })
}

let sent = 0
parentPort?.on('message', ({ seconds }: { readonly seconds: number }) => {
  times = []
  const beganMs = performance.now()
  const count = seconds * perSecond
  let next = 0
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - beganMs
    for (; next < count && (next * 1000) / perSecond <= elapsedMs; next++) {
      const { socket, dueMs } = sockets[sent % connections] as (typeof sockets)[number]
      dueMs.push(beganMs + (next * 1000) / perSecond)
      socket.write(requests[sent++ % requests.length] ?? '')
    }
    if (times.length < count) return
    clearInterval(timer)
    const ascending = times.toSorted((a, b) => a - b)
    const at = (quantile: number) => ascending[Math.ceil(quantile * count) - 1]
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage({ p50: at(0.5), p99: at(0.99) })
  }, 1)
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage('connected')
