import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// The floor: parses the same JSON body, and answers a constant. A separate process, which prints its port and ends on
// SIGTERM.
const answer = JSON.stringify({ model: 'score', version: 1, asOf: '2026-01-08T00:00:00Z', predictions: [{ score: 0.5 }] })

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const body = JSON.parse(Buffer.concat(chunks).toString()) as { entities: unknown[] }
    if (body.entities.length === 0) response.statusCode = 400
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
    response.end(answer)
  })
})
server.listen(0, '127.0.0.1', () =>
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })}\n`),
)
process.on('SIGTERM', () => process.exit(0))
