/**
 * Opens connections to a server, asks once on each, and leaves them open. Prints `open` when all were answered; on a line of input asks on each of them again, prints how many
 * were answered, and ends.
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

async function askAll(): Promise<number> {
  let answered = 0
  for (let i = 0; i < sockets.length; i += atOnce) {
    const wave = await Promise.all(sockets.slice(i, i + atOnce).map(ask))
    answered += wave.filter(Boolean).length
  }
  return answered
}

while (sockets.length < Number(count)) {
  sockets.push(...(await Promise.all(Array.from({ length: Math.min(atOnce, Number(count) - sockets.length) }, open))))
}
const first = await askAll()
process.stdout.write(`open ${first}\n`)
await once(process.stdin, 'data')
process.stdout.write(`answered ${await askAll()}\n`)
for (const socket of sockets) socket.destroy()
process.stdin.destroy()
