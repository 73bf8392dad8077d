import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findingsOf } from '../../cli/doctor/check.ts'
import { checkRedis } from '../../cli/doctor/store-checks.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { loadConfig } from '../../runtime/config.ts'
import { rootFolder } from '../source-files.ts'
import { freePort } from '../services/keeper.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, ownRedis } from '../services/own-redis.ts'

const pair = join(rootFolder, 'test/runtime/tls/localhost')

let locked: OwnRedis
let open: OwnRedis
let tlsPort: number
let strict: OwnRedis
let strictPort: number
let cluster: OwnRedis
beforeAll(async () => {
  ;[tlsPort, strictPort] = await Promise.all([freePort(), freePort()])
  const files = ['--tls-cert-file', `${pair}.crt`, '--tls-key-file', `${pair}.key`, '--tls-ca-cert-file', `${pair}.crt`]
  const tls = (port: number, clients: 'yes' | 'no') => [...files, '--tls-port', String(port), '--tls-auth-clients', clients]
  ;[locked, open, strict, cluster] = await Promise.all([
    ownRedis('redis-server'),
    ownRedis('redis-server', { args: tls(tlsPort, 'no') }),
    ownRedis('redis-server', { args: tls(strictPort, 'yes') }),
    ownRedis('redis-server', { args: ['--cluster-enabled', 'yes'] }),
  ])
  await asking(cluster.port, (redis) => redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383))
  for (const { port } of [locked, cluster]) await asking(port, (redis) => redis.config('SET', 'requirepass', 'secret'))
})
afterAll(async () => {
  for (const server of [locked, open, strict, cluster]) await server?.stop()
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
      'by TLS with a certificate that is not trusted',
      () => `rediss://localhost:${tlsPort}`,
      'self-signed certificate. Its certificate is not trusted: start Lockstep with NODE_EXTRA_CA_CERTS=/path/ca.pem',
    ],
  ])('%s is reported with what to do, by the store and by doctor', async (_, url, text) => {
    await isReported(url(), text)
  })

  it('because it requires a client certificate is not taken for one without TLS', async () => {
    const trusted = getCACertificates('default')
    setDefaultCACertificates([readFileSync(`${pair}.crt`, 'utf8')])
    try {
      // whether or not the server hangs up before its alert is read
      const said = /If it requires a client certificate, which Lockstep does not send, set its "tls-auth-clients" to "no"\.$/
      await isReported(`rediss://localhost:${strictPort}`, said)
    } finally {
      setDefaultCACertificates(trusted)
    }
  })
})
