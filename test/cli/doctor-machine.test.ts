import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CheckFinding } from '../../cli/doctor/check.ts'
import { findingsOf } from '../../cli/doctor/check.ts'
import { checkAuth, checkFiles, checkPorts, checkTls } from '../../cli/doctor/machine-checks.ts'
import { examineStreams } from '../../cli/doctor/stream-checks.ts'
import { loadConfig } from '../../runtime/config.ts'
import { warnOfFiles } from '../../runtime/files/files-warning.ts'
import { createLogger } from '../../runtime/log.ts'
import { freePort } from '../services/keeper.ts'
import { restartableNats } from '../services/restartable-server.ts'
import { testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'

const kept = join(rootFolder, 'test/runtime/tls')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-doctor-machine-'))
})
afterAll(() => rm(folder, { recursive: true }))

function linesOf(found: readonly CheckFinding[]): string[] {
  return found.map(({ check, verdict, text }) => `${verdict} ${check}: ${text}`)
}

describe('lockstep doctor', () => {
  it('checks all ports of a server, and names the setting of one that is taken', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    try {
      const settings = { LOCKSTEP_PORT: '0', LOCKSTEP_GRPC_PORT: String(port), LOCKSTEP_METRICS_PORT: String(port) }
      const found = await checkPorts(loadConfig({ ...settings, LOCKSTEP_UI_LISTEN: `127.0.0.1:${port}` }))
      expect(found.map(({ verdict, text }) => `${verdict} ${text}`)).toEqual([
        'ok Port 0 on 127.0.0.1 is free.',
        `note Port ${port} on 127.0.0.1 is in use, perhaps by a Lockstep process. Another one needs a different LOCKSTEP_GRPC_PORT.`,
        expect.stringMatching(`^wrong LOCKSTEP_METRICS_PORT is ${port} on 127.0.0.1, and LOCKSTEP_GRPC_PORT is`) as string,
        expect.stringMatching(`^wrong LOCKSTEP_UI_LISTEN is ${port} on 127.0.0.1, and LOCKSTEP_GRPC_PORT is`) as string,
      ])
    } finally {
      taken.close()
    }
  })

  it('names an address that is not of this machine', async () => {
    const [found] = await checkPorts(loadConfig({ LOCKSTEP_PORT: '0', LOCKSTEP_HOST: '192.0.2.1' }))
    expect(found?.verdict).toBe('wrong')
    expect(found?.text).toMatch(/cannot listen on "192\.0\.2\.1" .* Set LOCKSTEP_HOST and LOCKSTEP_PORT\.$/)
    const apart = { LOCKSTEP_METRICS_HOST: '192.0.2.1', LOCKSTEP_METRICS_PORT: '9091', LOCKSTEP_UI_LISTEN: '192.0.2.1:9092' }
    const [, metrics, dashboard] = await checkPorts(loadConfig({ LOCKSTEP_PORT: '0', ...apart }))
    expect(metrics?.text).toMatch(/Set LOCKSTEP_METRICS_HOST and LOCKSTEP_METRICS_PORT\.$/)
    expect(dashboard?.text).toMatch(/Set LOCKSTEP_UI_LISTEN\.$/)
  })

  it('says when the TLS certificate expires, or that the key is of another', async () => {
    const pair = { cert: join(kept, 'first.crt'), key: join(kept, 'first.key') }
    expect(checkTls(pair)).toEqual({ verdict: 'ok', text: 'The certificate and its key fit, until 2126-11-03.' })
    expect(checkTls(pair, Date.UTC(2126, 9, 30))).toMatchObject({
      verdict: 'note',
      text: 'The TLS certificate expires on 2126-11-03; replace it.',
    })
    expect(checkTls(pair, Date.UTC(2126, 11, 1))).toEqual({
      verdict: 'wrong',
      text: 'The TLS certificate expired on 2126-11-03; replace it. Clients refuse it.',
    })
    const found = await findingsOf('tls', () => checkTls({ ...pair, key: join(kept, 'second.key') }))
    expect(linesOf(found)).toEqual([expect.stringMatching(/^wrong tls: The key ".*second\.key" does not belong to the certificate /)])
  })

  it('says that uploads cannot be written, as does a server that starts', async () => {
    const file = join(folder, 'a-file')
    await writeFile(file, '')
    const unusable = { filesDirectory: join(file, 'files') }
    expect(checkFiles(unusable, true)).toEqual({
      verdict: 'wrong',
      text: `This process cannot write to "${file}/files": "${file}" is not a folder. Uploads and training sets through a server fail. Set LOCKSTEP_FILES_DIR to a folder that it can write.`,
    })
    expect(checkFiles(unusable, false).verdict).toBe('note')
    expect(checkFiles({ filesDirectory: join(folder, 'new', 'files') }, true).verdict).toBe('ok')
    // the administrator may write everywhere
    if (process.getuid?.() !== 0) {
      await mkdir(join(folder, 'closed'))
      await chmod(join(folder, 'closed'), 0o500)
      expect(checkFiles({ filesDirectory: join(folder, 'closed') }, true).text).toContain('permission')
    }
    const logged: string[] = []
    const log = createLogger('info', { write: (line) => void logged.push(line) })
    warnOfFiles({ filesDirectory: folder }, log)
    expect(logged).toEqual([])
    warnOfFiles(unusable, log)
    expect(logged).toEqual([expect.stringMatching(/"level":"warn".*Set LOCKSTEP_FILES_DIR/)])
  })

  it('notes that API keys are off only if other machines reach the server', () => {
    const answer = (host: string, auth: string) =>
      checkAuth(loadConfig({ LOCKSTEP_HOST: host, LOCKSTEP_AUTH: auth })).map(({ verdict }) => verdict)
    expect([answer('0.0.0.0', 'off'), answer('127.0.0.1', 'off'), answer('0.0.0.0', 'auto')]).toEqual([['note'], [], []])
  })

  it('has a line for each server of streams that is set, and none for others', async () => {
    expect(await examineStreams(loadConfig({}))).toEqual([])
    const [nats, redis, closed] = await Promise.all([restartableNats(), testRedis(), freePort()])
    try {
      const up = { LOCKSTEP_NATS_URL: nats.url, LOCKSTEP_REDIS_URL: redis.url }
      expect(linesOf(await examineStreams(loadConfig(up)))).toEqual([expect.stringMatching(/^ok nats: NATS \S+ at "127.*" answers\.$/)])
      const down = {
        LOCKSTEP_REDIS_URL: redis.url,
        LOCKSTEP_STREAM_REDIS_URL: `redis://127.0.0.1:${closed}`,
        LOCKSTEP_NATS_URL: `nats://127.0.0.1:${closed}`,
        LOCKSTEP_KAFKA_URL: `kafka://127.0.0.1:${closed}`,
        LOCKSTEP_SCHEMA_REGISTRY_URL: `http://127.0.0.1:${closed}`,
      }
      const at = `127\\.0\\.0\\.1:${closed}`
      expect(linesOf(await examineStreams(loadConfig(down)))).toEqual([
        expect.stringMatching(`^wrong streams: Redis at "${at}" cannot be used: .*ECONNREFUSED.* Check LOCKSTEP_STREAM_REDIS_URL and`),
        expect.stringMatching(`^wrong nats: NATS at "${at}" cannot be used: .* Check LOCKSTEP_NATS_URL and that the server runs\\.$`),
        expect.stringMatching(`^wrong kafka: Kafka at "${at}" cannot be used: .* Check LOCKSTEP_KAFKA_URL`),
        expect.stringMatching(`^wrong schemas: The schema registry at "${at}" cannot be read: .* Check LOCKSTEP_SCHEMA_REGISTRY_URL`),
      ])
    } finally {
      await nats.remove()
    }
  })
})
