import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

/** The requests that the thread sends to servers. */
export interface Asked {
  /** Ports of servers, each of which gets as many connections of its own. */
  readonly ports: readonly number[]
  readonly connections: number
  /** Complete requests, which are sent in turn. */
  readonly requests: readonly string[]
  /** Requests that are sent only where they are asked for, by name. */
  readonly others?: Readonly<Record<string, readonly string[]>>
}

/** Sends `count` requests to one of the servers. */
export interface Ask {
  readonly server: number
  readonly count: number
  /** The name of other requests to send. */
  readonly others?: string
}

/** A thread that sends requests, so that the thread of the servers does nothing else. */
const { ports, connections, requests: usual, others = {} } = workerData as Asked
const open = await Promise.all(
  ports.map((port) =>
    Promise.all(
      Array.from({ length: connections }, async () => {
        const socket = connect(port, '127.0.0.1').setNoDelay(true)
        await once(socket, 'connect')
        return socket
      }),
    ),
  ),
)

parentPort?.on('message', ({ server, count, others: name }: Ask) => {
  const requests = name === undefined ? usual : (others[name] ?? [])
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  void ask(open[server] ?? [], count, requests).then(() => parentPort?.postMessage('done'))
})
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage('connected')

/** Sends so many requests, over each connection the next one once the last is answered. */
function ask(sockets: readonly Socket[], count: number, requests: readonly string[]): Promise<void> {
  let [sent, answered] = [0, 0]
  return new Promise((resolve) => {
    for (const socket of sockets) {
      const next = () => socket.write(requests[sent++ % requests.length] ?? '')
      socket.removeAllListeners('data').on('data', (data: Buffer) => {
        if (!data.subarray(0, 15).equals(good)) throw new Error(data.toString())
        answered++
        if (sent < count) next()
        else if (answered === count) resolve()
      })
      next()
    }
  })
}

const good = Buffer.from('HTTP/1.1 200 OK')
