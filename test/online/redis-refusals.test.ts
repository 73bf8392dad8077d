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

const pair = join(rootFolder, 'test/runtime/tls/localhost')

let locked: OwnRedis
let open: OwnRedis
let tlsPort: number
let cluster: OwnRedis
beforeAll(async () => {
  tlsPort = await freePort()
  const tls = ['--tls-port', String(tlsPort), '--tls-cert-file', `${pair}.crt`, '--tls-key-file', `${pair}.key`]
  ;[locked, open, cluster] = await Promise.all([
    ownRedis('redis-server'),
    ownRedis('redis-server', { args: [...tls, '--tls-auth-clients', 'no'] }),
    ownRedis('redis-server', { args: ['--cluster-enabled', 'yes'] }),
  ])
  await asking(cluster.port, (redis) => redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383))
  for (const { port } of [locked, cluster]) await asking(port, (redis) => redis.config('SET', 'requirepass', 'secret'))
}, 60_000)
afterAll(async () => {
  for (const server of [locked, open, cluster]) await server?.stop()
})

describe('a Redis that cannot be used', { timeout: 60_000 }, () => {
  const noPassword = 'refused a command: NOAUTH (it requires a password, and got none). Put the password into LOCKSTEP_REDIS_URL'
  const wrongPassword = /refused a command: WRONGPASS .* Correct the user and the password in LOCKSTEP_REDIS_URL\.$/
  it.each([
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
      'If it does not use TLS, write "redis+cluster" in LOCKSTEP_REDIS_URL.',
    ],
    [
      'by TLS with a certificate that is not trusted',
      () => `rediss://localhost:${tlsPort}`,
      'self-signed certificate. Its certificate is not trusted: start Lockstep with NODE_EXTRA_CA_CERTS=/path/ca.pem',
    ],
  ])('%s is reported with what to do, by the store and by doctor', async (_, url, text) => {
    const message = expect.toSatisfy((said: string) => (typeof text === 'string' ? said.includes(text) : text.test(said))) as string
    const store = await openOnlineStore(loadConfig({ LOCKSTEP_REDIS_URL: url() }))
    try {
      await expect(store.ping()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', message })
    } finally {
      await store.close()
    }
    expect(await findingsOf('online store', () => checkRedis(url()))).toMatchObject([{ verdict: 'wrong', text: message }])
  })
})
