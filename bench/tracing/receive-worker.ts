import { createServer } from 'node:http'
import { parentPort } from 'node:worker_threads'

/** A thread that takes exports of spans, as a collector does, and forgets them. */
const server = createServer((request, response) => request.resume().on('end', () => response.end()))
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(typeof address === 'object' ? address?.port : null)
})
