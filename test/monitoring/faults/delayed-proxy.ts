import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'

export interface DelayedProxy {
  readonly port: number
  /** How long answers of the server are held back from now on, milliseconds. Infinity: they are lost. */
  delayMs: number
  close(): Promise<void>
}

/** Passes TCP on to a server, and holds back what it answers. The order stays. */
export async function delayedProxy(host: string, port: number): Promise<DelayedProxy> {
  const sockets = new Set<Socket>()
  const proxy = createServer((client) => {
    const server = connect(port, host)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (bytes) => server.write(bytes))
    server.on('data', (bytes) => {
      if (self.delayMs === 0) client.write(bytes)
      else if (self.delayMs !== Infinity) setTimeout(() => client.write(bytes), self.delayMs)
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const self: DelayedProxy = {
    port: (proxy.address() as AddressInfo).port,
    delayMs: 0,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
  return self
}
