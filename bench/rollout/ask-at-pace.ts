import { once } from 'node:events'
import { connect } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

/** The requests that the thread sends to a server. */
export interface Paced {
  readonly port: number
  readonly connections: number
  /** Complete requests by kind. Those of a kind are sent in turn. */
  readonly requests: Readonly<Record<string, readonly string[]>>
  readonly perSecond: number
}

/** Ask for so long, and measure all but the first `warmMs`: what the slice before left behind is done by then. */
export interface Slice {
  readonly kind: string
  readonly ms: number
  readonly warmMs: number
}

/** A thread that sends requests at a fixed rate, and measures from the moment at which each was due. */
const { port, connections, requests, perSecond } = workerData as Paced
const sockets = await Promise.all(
  Array.from({ length: connections }, async () => {
    const socket = connect(port, '127.0.0.1').setNoDelay(true)
    await once(socket, 'connect')
    return { socket, sent: [] as { readonly dueMs: number; readonly isMeasured: boolean }[] }
  }),
)
let times: number[] = []
let answered = 0
for (const { socket, sent } of sockets) {
  socket.on('data', (data: Buffer) => {
    const now = performance.now()
    // answers of one connection are in order, and several may come at once
    const answers = data.toString('latin1').split('HTTP/1.1 ').slice(1)
    for (const answer of answers) {
      if (!answer.startsWith('200')) throw new Error(answer)
      answered++
      const first = sent.shift()
      if (first?.isMeasured === true) times.push(now - first.dueMs)
    }
  })
}

let asked = 0
parentPort?.on('message', ({ kind, ms, warmMs }: Slice) => {
  const own = requests[kind] ?? []
  times = []
  answered = 0
  const beganMs = performance.now()
  const count = Math.round((ms * perSecond) / 1000)
  let next = 0
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - beganMs
    for (; next < count && (next * 1000) / perSecond <= elapsedMs; next++) {
      const { socket, sent } = sockets[asked % connections] as (typeof sockets)[number]
      const afterMs = (next * 1000) / perSecond
      sent.push({ dueMs: beganMs + afterMs, isMeasured: afterMs >= warmMs })
      socket.write(own[asked++ % own.length] ?? '')
    }
    if (answered < count) return
    clearInterval(timer)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage(times)
  }, 1)
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage('connected')
