import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenApi } from '../../serving/protocols/http/openapi/openapi.ts'
import { pythonWith } from '../python-with.ts'
import { run, startPeerServer } from './peer-server.ts'

// Sends the requests that schemathesis, from PyPI, generates from the OpenAPI document to a separate server: `node
// test/peers/fuzz.ts [OPTIONS]`.
const bin = await pythonWith('schemathesis', ['schemathesis==4.32.5'])
const server = await startPeerServer()
try {
  const words = [
    'run',
    await withoutHeaders(server.url, server.folder),
    `--url=${server.url}`,
    '--max-examples=60',
    '--request-timeout=10',
    '--generation-database=none',
    // the server of the peers has no keys, a schema cannot say all that a body must be, and a backfill that is
    // cancelled can still be looked at
    '--exclude-checks=ignored_auth,missing_required_header,positive_data_acceptance,use_after_free',
    ...process.argv.slice(2),
  ]
  // uploads take the bytes of a file under a media type of their own
  const hooks = 'import schemathesis\nschemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")\n'
  await writeFile(join(server.folder, 'hooks.py'), hooks)
  const env = { ...process.env, PYTHONPATH: server.folder, SCHEMATHESIS_HOOKS: 'hooks' }
  run(join(bin, 'schemathesis'), words, { cwd: server.folder, env })
} finally {
  await server.close()
}

/**
 * A copy of the document without request headers: a deadline of a millisecond is rightly answered with 504, but for any
 * other request a 504 must stay a failure.
 */
async function withoutHeaders(url: string, folder: string): Promise<string> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi
  const path = join(folder, 'openapi.json')
  const paths = Object.entries(document.paths).map(([at, byMethod]) => [
    at,
    Object.fromEntries(
      Object.entries(byMethod).map(([method, operation]) => [
        method,
        { ...operation, parameters: operation.parameters.filter((parameter) => 'in' in parameter) },
      ]),
    ),
  ])
  await writeFile(path, JSON.stringify({ ...document, paths: Object.fromEntries(paths) }))
  return path
}
