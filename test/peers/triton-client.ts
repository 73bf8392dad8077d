import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import { run, startPeerServer } from './peer-server.ts'

// Calls models through the unmodified tritonclient, from PyPI, over HTTP and gRPC, against a separate server: `node
// test/peers/triton-client.ts`.
const bin = await pythonWith('triton', ['tritonclient[http,grpc]==2.73.0'])
const server = await startPeerServer()
try {
  run(join(bin, 'python'), [join(import.meta.dirname, 'triton_client.py'), server.url, server.grpc])
} finally {
  await server.close()
}
