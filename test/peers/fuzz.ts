import { join } from 'node:path'
import { pythonWith, run, startPeerServer } from './peer-server.ts'

// Sends what schemathesis, from PyPI, makes of the OpenAPI document to a server of its own: `node test/peers/fuzz.ts [OPTIONS]`.
const bin = pythonWith('schemathesis', ['schemathesis==4.32.5'])
const server = await startPeerServer()
try {
  const words = [
    'run',
    `${server.url}/openapi.json`,
    '--max-examples=60',
    '--request-timeout=10',
    '--generation-database=none',
    // the server of the peers has no keys, a schema cannot say all that a body must be, and a backfill that is cancelled can still be looked at
    '--exclude-checks=ignored_auth,missing_required_header,positive_data_acceptance,use_after_free',
    ...process.argv.slice(2),
  ]
  run(join(bin, 'schemathesis'), words, { cwd: server.folder })
} finally {
  await server.close()
}
