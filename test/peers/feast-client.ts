import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import { run, startPeerServer } from './peer-server.ts'

// Reads and writes through the unmodified Feast client, from PyPI, against a separate server: `node
// test/peers/feast-client.ts`.
const bin = await pythonWith('feast', ['feast==0.67.0'])
const server = await startPeerServer()
try {
  run(join(bin, 'python'), [join(import.meta.dirname, 'feast_client.py'), server.url, join(server.folder, 'feast')])
} finally {
  await server.close()
}
