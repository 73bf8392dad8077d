import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findingsOf } from '../../cli/doctor/check.ts'
import { checkRedis } from '../../cli/doctor/store-checks.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { loadConfig } from '../../runtime/config.ts'
import { rootFolder } from '../source-files.ts'
import { freePort } from '../services/keeper.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import type { OwnSentinel } from '../services/redis-sentinel.ts'
import { ownSentinel } from '../services/redis-sentinel.ts'

const pair = join(rootFolder, 'test/runtime/tls/localhost')
const other = join(rootFolder, 'test/runtime/tls/second')

let locked: OwnRedis
let open: OwnRedis
let tlsPort: number
let strict: OwnRedis
let strictPort: number
let cluster: OwnRedis
let clusterPort: number
let sentinel: OwnSentinel
let sentinelPort: number
beforeAll(async () => {
  ;[tlsPort, strictPort, clusterPort, sentinelPort] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const files = ['--tls-cert-file', `${pair}.crt`, '--tls-key-file', `${pair}.key`, '--tls-ca-cert-file', `${pair}.crt`]
  const tls = (port: number, clients: 'yes' | 'no') => [...files, '--tls-port', String(port), '--tls-auth-clients', clients]
  const named = ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname']
  ;[locked, open, strict, cluster] = await Promise.all([
    ownRedis('redis-server'),
    ownRedis('redis-server', { args: tls(tlsPort, 'no') }),
    ownRedis('redis-server', { args: tls(strictPort, 'yes') }),
    ownRedis('redis-server', { args: ['--cluster-enabled', 'yes', ...named, ...tls(clusterPort, 'yes')] }),
  ])
  const lines = ['tls-replication', 'yes', ...tls(sentinelPort, 'yes')].join(' ').split(/ ?--/)
  const settings = [lines.slice(1).join('\n'), String(lines[0]), 'sentinel resolve-hostnames yes', 'sentinel announce-hostnames yes']
  sentinel = await ownSentinel('redis-server', strictPort, { host: 'localhost', settings })
  await asking(cluster.port, (redis) => redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383))
  for (const { port } of [locked, cluster]) await asking(port, (redis) => redis.config('SET', 'requirepass', 'secret'))
})
afterAll(async () => {
  for (const server of [sentinel, locked, open, strict, cluster]) await server?.stop()
})

async function isReported(url: string, text: string | RegExp): Promise<void> {
  const message = expect.toSatisfy((said: string) => (typeof text === 'string' ? said.includes(text) : text.test(said))) as string
  const store = await openOnlineStore(loadConfig({ LOCKSTEP_REDIS_URL: url }))
  try {
    await expect(store.ping()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', message })
  } finally {
    await store.close()
  }
  expect(await findingsOf('online store', () => checkRedis(url))).toMatchObject([{ verdict: 'wrong', text: message }])
}

describe('a Redis that cannot be used', () => {
  const noPassword = 'refused a command: NOAUTH (it requires a password, and got none). Put the password into LOCKSTEP_REDIS_URL'
  const wrongPassword = /refused a command: WRONGPASS .* Correct the user and the password in LOCKSTEP_REDIS_URL\.$/
  it.concurrent.each([
    ['without its password', () => `redis://127.0.0.1:${locked.port}`, noPassword],
    ['with a wrong password', () => `redis://:wrong@127.0.0.1:${locked.port}`, wrongPassword],
    ['with an unknown user', () => `redis://nobody:secret@127.0.0.1:${locked.port}`, wrongPassword],
    ['as a cluster, without its password', () => `redis+cluster://127.0.0.1:${cluster.port}`, noPassword],
    ['as a cluster, with a wrong password', () => `redis+cluster://:wrong@127.0.0.1:${cluster.port}`, wrongPassword],
    [
      'by TLS that it does not use',
      () => `rediss://127.0.0.1:${open.port}`,
      'cannot be used: it does not answer the TLS handshake. If it does not use TLS, write "redis" in place of "rediss" in LOCKSTEP_REDIS_URL.',
    ],
    [
      'without the TLS that it uses',
      () => `redis://127.0.0.1:${tlsPort}`,
      'Check LOCKSTEP_REDIS_URL and that the server runs. If it uses TLS, write "rediss" in place of "redis".',
    ],
    [
      'as a cluster, by TLS that it does not use',
      () => `rediss+cluster://127.0.0.1:${cluster.port}`,
      'If it does not use TLS, write "redis+cluster" in place of "rediss+cluster".',
    ],
    [
      'as a cluster, although it is a Sentinel',
      () => `redis+cluster://127.0.0.1:${sentinel.port}`,
      /unknown command .* The URL of a Sentinel is redis\+sentinel:\/\/host:26379\/NAME\.$/,
    ],
    [
      'by TLS with a certificate of a Sentinel that is not trusted',
      () => `rediss+sentinel://localhost:${sentinelPort}/mymaster`,
      /no Sentinel names the primary "mymaster" \(.*self-signed certificate\)\. Its certificate is not trusted: add "ca=\/path\/ca.pem"/,
    ],
    [
      'by TLS with a certificate that is not trusted',
      () => `rediss://localhost:${tlsPort}`,
      'self-signed certificate. Its certificate is not trusted: add "ca=/path/ca.pem", the file of the authority that signed it, to LOCKSTEP_REDIS_URL.',
    ],
  ])('%s is reported with what to do, by the store and by doctor', async (_, url, text) => {
    await isReported(url(), text)
  })

  it('because it requires a client certificate is not taken for one without TLS', async () => {
    // whether or not the server hangs up before its alert is read
    const said = /If it requires a client certificate, name one that it accepts: add "cert=.*" and "key=.*" to LOCKSTEP_REDIS_URL\.$/
    await isReported(`rediss://localhost:${strictPort}?ca=${pair}.crt`, said)
  })
})

describe('the files of certificates in the URL of Redis', () => {
  it('are of no use if Sentinels name the primary otherwise than its certificate does', async () => {
    await asking(sentinel.port, (redis) => redis.call('SENTINEL', 'MONITOR', 'by-address', '127.0.0.1', strictPort, 1))
    const url = `rediss+sentinel://localhost:${sentinelPort}/by-address?ca=${pair}.crt&cert=${pair}.crt&key=${pair}.key`
    await isReported(
      url,
      /does not match certificate's altnames: .*\. Sentinels must name each Redis as its certificate does: set "sentinel/,
    )
  })

  it.each([
    ['a single server', () => `rediss://localhost:${strictPort}`],
    ['a cluster', () => `rediss+cluster://:secret@localhost:${clusterPort}/`],
    ['Sentinels and their primary', () => `rediss+sentinel://localhost:${sentinelPort}/mymaster`],
  ])('are used for %s', async (_, url) => {
    const whole = `${url()}?ca=${pair}.crt&cert=${pair}.crt&key=${pair}.key`
    const store = await openOnlineStore(loadConfig({ LOCKSTEP_REDIS_URL: whole }))
    try {
      await store.ping()
      expect(await store.read([{ view: 'absent@1', entity: 'seat', key: 'a' }])).toEqual([null])
    } finally {
      await store.close()
    }
    expect(await findingsOf('online store', () => checkRedis(whole))).toContainEqual(
      expect.objectContaining({ verdict: 'ok', text: expect.stringMatching(/Redis .* answers\./) as string }),
    )
  })

  it('are read again for each connection, also if they do not fit together for a moment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-certificates-'))
    const [cert, key] = [join(folder, 'client.crt'), join(folder, 'client.key')]
    const put = async (from: string, ...files: readonly string[]): Promise<void> => {
      for (const file of files) await copyFile(`${from}${file.slice(file.lastIndexOf('.'))}`, file)
    }
    await put(other, cert, key)
    const url = `rediss://localhost:${strictPort}?ca=${pair}.crt&cert=${cert}&key=${key}`
    const store = await openOnlineStore(loadConfig({ LOCKSTEP_REDIS_URL: url }))
    try {
      await expect(store.ping()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      await put(pair, cert)
      await expect(store.ping()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
      await put(pair, key)
      await expect.poll(() => store.ping().then(() => 'answers', String), { timeout: 60_000 }).toBe('answers')
    } finally {
      await store.close()
      await rm(folder, { recursive: true })
    }
  })

  it.each([
    [
      'is missing',
      '/nowhere.pem',
      /^The "ca" in the URL of Redis cannot be used: the file "\/nowhere\.pem" cannot be read: .* Name a file in PEM\.$/,
    ],
    ['is no certificate', `${pair}.key`, /^The "ca" in the URL of Redis cannot be used: the file ".*" has no certificate/],
  ])('are refused at once if one %s', async (_, ca, message) => {
    const opening = openOnlineStore(loadConfig({ LOCKSTEP_REDIS_URL: `rediss://localhost:${tlsPort}?ca=${ca}` }))
    await expect(opening).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string })
  })
})
