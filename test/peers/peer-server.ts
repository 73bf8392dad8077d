import { spawn, spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { whenReady } from '../cli/run-lockstep.ts'
import { rootFolder } from '../source-files.ts'

export interface PeerServer {
  readonly url: string
  /** Host and port of gRPC. */
  readonly grpc: string
  /** A separate folder for the files of a peer. */
  readonly folder: string
  close(): Promise<void>
}

/** A server as a separate process, with the embedded stores and the definitions of the peers. */
export async function startPeerServer(): Promise<PeerServer> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-peers-'))
  const env = { ...process.env, LOCKSTEP_DIR: join(folder, 'embedded'), LOCKSTEP_LOG_LEVEL: 'error' }
  const main = join(rootFolder, 'cli/main.ts')
  const logistic = join(rootFolder, 'test/serving/fixtures/logistic.onnx')
  const definitions = join(import.meta.dirname, 'definitions.ts')
  for (const words of [['migrate'], ['apply', definitions], ['model', 'push', 'delay', logistic], ['materialize']]) {
    run(process.execPath, [main, ...words], { env })
  }
  const child = spawn(process.execPath, [main, 'serve', '--port', '0', '--grpc-port', '0', '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const { url, grpcPort } = await new Promise<{ url: string; grpcPort: number }>((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      // one document, when it listens
      if (text.trimEnd().endsWith('}')) resolve(JSON.parse(text))
    })
    void exited.then(() => reject(new Error(`The server ended: ${text}`)))
  })
  await whenReady(url)
  return {
    url,
    grpc: `127.0.0.1:${grpcPort}`,
    folder,
    async close() {
      child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** @param options.cwd where it may write */
export function run(
  command: string,
  words: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): void {
  const { status, error } = spawnSync(command, words, { ...options, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`"${command} ${words.join(' ')}" ended with ${status}.`)
}
