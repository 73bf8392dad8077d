import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { expect, it } from 'vitest'
import { connectToNats } from '../../../runtime/streams/nats-connection.ts'

it('leaves no socket open after a server did not greet in time', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const closed = new Promise((resolve) => server.once('connection', (socket) => socket.on('close', resolve).resume()))
  try {
    const { port } = server.address() as AddressInfo
    await expect(connectToNats(`nats://127.0.0.1:${port}`)).rejects.toThrow('timeout')
    await closed
  } finally {
    server.close()
  }
})
