/**
 * Opens connections to a server, sends one request on each at once, and leaves them open. Prints `open` when all were
 * answered. On a line of input it sends another request on each, prints how many were answered, and ends.
 *
 *     node idle-clients-child.ts PORT COUNT
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'

const [port, count] = process.argv.slice(2).map(Number)
const atOnce = 200
const request = 'GET /livez HTTP/1.1\r\nhost: idle\r\n\r\n'
const sockets: Socket[] = []

async function open(): Promise<Socket> {
  const socket = connect(Number(port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

async function ask(socket: Socket): Promise<boolean> {
  if (!socket.writable) return false
  const answered = new Promise<boolean>((resolve) => {
    socket.once('data', (data) => resolve(data.toString().startsWith('HTTP/1.1 200')))
    socket.once('close', () => resolve(false))
  })
  socket.write(request)
  return await answered
}

async function askAll(wave: readonly Socket[]): Promise<number> {
  return (await Promise.all(wave.map(ask))).filter(Boolean).length
}

let first = 0
while (sockets.length < Number(count)) {
  const wave = await Promise.all(Array.from({ length: Math.min(atOnce, Number(count) - sockets.length) }, open))
  // the server does not wait for long for a first request
  first += await askAll(wave)
  sockets.push(...wave)
}
process.stdout.write(`open ${first}\n`)
await once(process.stdin, 'data')
let again = 0
for (let i = 0; i < sockets.length; i += atOnce) again += await askAll(sockets.slice(i, i + atOnce))
process.stdout.write(`answered ${again}\n`)
for (const socket of sockets) socket.destroy()
process.stdin.destroy()
