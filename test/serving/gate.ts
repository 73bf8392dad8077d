import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export async function until(what: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error(`it did not happen within ${withinMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** @returns false if the port is taken */
async function listens(server: Server, port: number): Promise<boolean> {
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false
    throw error
  }
}

/** A proxy to a server that can be closed and opened, or fall silent, so that the server itself is never touched. */
export class Gate {
  readonly #to: { host: string; port: number }
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null
  #silent = false
  port = 0

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#to = { host: hostname === '' ? '127.0.0.1' : hostname, port: Number(port) }
  }

  /** The url with this gate in the place of the server. */
  through(url: string): string {
    const target = new URL(url)
    target.hostname = '127.0.0.1'
    target.port = String(this.port)
    return target.href
  }

  async open(): Promise<void> {
    const server = createServer((socket) => {
      const inner = connect(this.#to)
      for (const [one, other] of [
        [socket, inner],
        [inner, socket],
      ] as const) {
        this.#sockets.add(one)
        one.on('error', () => undefined)
        one.on('close', () => {
          this.#sockets.delete(one)
          other.destroy()
        })
        if (!this.#silent) one.pipe(other)
      }
    })
    // while it was shut, a connection of any process may have got its port as the other end
    await until(async () => await listens(server, this.port))
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }

  /** Accepts connections and passes nothing on, in either direction, as a network that has lost its way does. */
  hush(): void {
    this.#silent = true
    this.lose()
  }

  /** Passes on nothing more over the connections that there are, as if the host were lost. New ones work. */
  lose(): void {
    for (const socket of this.#sockets) socket.unpipe().pause()
  }

  async shut(): Promise<void> {
    this.#silent = false
    const server = this.#server
    this.#server = null
    if (server === null) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

export async function gated(url: string): Promise<Gate> {
  const gate = new Gate(url)
  await gate.open()
  return gate
}
