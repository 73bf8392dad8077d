import { Admin } from '@platformatic/kafka'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { kafkaClient, pingKafka, quieted } from '../../../runtime/streams/kafka-client.ts'
import { openConsumer } from '../../../runtime/streams/open-consumer.ts'
import { openSink } from '../../../runtime/streams/open-sink.ts'
import { restartableKafka } from '../../services/kafka.ts'
import type { RestartableServer } from '../../services/restartable-server.ts'
import { serversAt } from './producers.ts'

const ca = join(import.meta.dirname, '../tls/first.crt')
const other = join(import.meta.dirname, '../tls/second.crt')
const otherKey = other.replace('.crt', '.key')
let server: RestartableServer
/** Needs a client certificate, and no user. */
let mutual: RestartableServer

const mutualAt = (client: string): string => `${mutual.url.replace('kafka://', 'kafkas://')}?ca=${ca}${client}`
/** The URL of the broker for a user. */
const at = (user: string, query: string): string => `${server.url.replace('kafka://', `kafkas://${user}@`)}?${query}`

beforeAll(async () => {
  const tls = { cert: await readFile(ca, 'utf8'), key: await readFile(ca.replace('.crt', '.key'), 'utf8') }
  const clients = await readFile(other, 'utf8')
  ;[server, mutual] = await Promise.all([
    restartableKafka({ security: { tls, user: { name: 'lockstep', password: 'p@ss' } } }),
    restartableKafka({ security: { tls: { ...tls, ca: clients }, user: null } }),
  ])
})
afterAll(async () => void (await Promise.all([server?.remove(), mutual?.remove()])))

it.concurrent.each(['plain', 'scram-sha-512', 'certificate'])('reads and writes over TLS, signed in by %s', async (sasl) => {
  const url = sasl === 'certificate' ? mutualAt(`&cert=${other}&key=${otherKey}`) : at('lockstep:p%40ss', `sasl=${sasl}&ca=${ca}`)
  const admin = quieted(new Admin(kafkaClient(url).options))
  await admin.createTopics({ topics: [sasl], partitions: 1, replicas: 1 })
  await admin.close()
  const sink = openSink(serversAt(url), { kind: 'kafka', stream: sasl }, { from: null, redeliverMs: 4_000 })
  const consumer = openConsumer(serversAt(url), { kind: 'kafka', stream: sasl, group: sasl }, { redeliverMs: 4_000 })
  try {
    await sink.produce([{ id: 'a', writtenAs: 'a', input: '0', key: 'k', value: '"a"' }])
    await vi.waitFor(async () => expect((await consumer.take(1)).map(({ body }) => String(body))).toEqual(['"a"']), 60_000)
  } finally {
    await sink.close()
    await consumer.close()
  }
})

it.concurrent('says whether the brokers answer, and take the user', async () => {
  // it tries once, and a paused process may take the 2 s of a connection
  const said = () => pingKafka(at('lockstep:p%40ss', `ca=${ca}`)).catch(String)
  await expect.poll(said, { timeout: 60_000 }).toMatch(/^Kafka at "127\.0\.0\.1:\d+", which has \d+ topics?$/)
  await expect(pingKafka(at('lockstep:wrong', `ca=${ca}`))).rejects.toMatchObject({
    code: 'STREAM_UNAVAILABLE',
    message: expect.stringMatching(/^Kafka at ".*" cannot be used: .*LOCKSTEP_KAFKA_URL/) as string,
  })
})

it.concurrent('reads the files of certificates again when it connects', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-certificates-'))
  const [cert, key] = [join(folder, 'client.pem'), join(folder, 'client.key')]
  const replace = async (from: string) => {
    await copyFile(from, cert)
    await copyFile(from.replace('.crt', '.key'), key)
  }
  const admin = quieted(new Admin(kafkaClient(mutualAt(`&cert=${other}&key=${otherKey}`)).options))
  await admin.createTopics({ topics: ['renewed'], partitions: 1, replicas: 1 })
  await admin.close()
  await replace(ca)
  const servers = serversAt(mutualAt(`&cert=${cert}&key=${key}`))
  const sink = openSink(servers, { kind: 'kafka', stream: 'renewed' }, { from: null, redeliverMs: 4_000 })
  const consumer = openConsumer(servers, { kind: 'kafka', stream: 'renewed', group: 'renewed' }, { redeliverMs: 4_000 })
  try {
    await Promise.all([
      expect(consumer.lag()).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' }),
      expect(sink.check()).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' }),
    ])
    await vi.waitFor(async () => await expect(consumer.take(1)).rejects.toMatchObject({ code: 'STREAM_UNAVAILABLE' }), 60_000)
    await replace(other)
    await sink.produce([{ id: 'a', writtenAs: 'a', input: '0', key: 'k', value: '"a"' }])
    expect(await consumer.lag()).toEqual({ waiting: 1, pending: 0 })
    await vi.waitFor(async () => expect((await consumer.take(1)).map(({ body }) => String(body))).toEqual(['"a"']), 60_000)
  } finally {
    await sink.close()
    await consumer.close()
    await rm(folder, { recursive: true })
  }
})

it.concurrent('says what is wrong with a password, a user, a mechanism or a certificate, and no secret', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-certificates-'))
  const empty = join(folder, 'empty.pem')
  await writeFile(empty, '')
  const ask = async (url: string): Promise<string> => {
    const consumer = openConsumer(serversAt(url), { kind: 'kafka', stream: 's', group: 'g' }, { redeliverMs: 4_000 })
    try {
      return await consumer.lag().then(String, (error: Error) => error.message)
    } finally {
      await consumer.close()
    }
  }
  /** On a slow machine a connection or an answer may come too late: it is asked for again. */
  const said = async (url: string): Promise<string> => {
    for (let tries = 0; ; tries++) {
      const message = await ask(url)
      if (tries === 9 || !/did not say within|timed out/.test(message)) return message
    }
  }
  const right = 'lockstep:p%40ss'
  const refused = 'SASL authentication failed. Check the user, the password and "sasl" in LOCKSTEP_KAFKA_URL.'
  const notTrusted = 'The certificate of the brokers is not trusted: name the file of its authority, as "ca"'
  const askForCertificate = 'names a client certificate which they trust, as "cert" and "key", if they ask for one.'
  const cases = [
    [at('lockstep:wr0ng', `ca=${ca}`), refused],
    [at('lockstep:wr0ng', `sasl=scram-sha-512&ca=${ca}`), refused],
    [at('nobody:wr0ng', `sasl=scram-sha-512&ca=${ca}`), refused],
    [
      at(right, `sasl=scram-sha-256&ca=${ca}`),
      'Cannot find a suitable SASL mechanism. Check the user, the password and "sasl" in LOCKSTEP_KAFKA_URL.',
    ],
    [at(right, ''), notTrusted],
    [at(right, `ca=${other}`), notTrusted],
    [mutualAt(''), askForCertificate],
    [mutualAt(`&cert=${ca}&key=${ca.replace('.crt', '.key')}`), askForCertificate],
    [mutualAt(`&cert=${ca}&key=${otherKey}`), 'The files "ca", "cert", "key" in LOCKSTEP_KAFKA_URL cannot be used'],
    [
      mutualAt(`&cert=${ca}&key=/nowhere.key`),
      'The "key" in LOCKSTEP_KAFKA_URL cannot be used: the file "/nowhere.key" cannot be read: there is no such file or folder',
    ],
    [at(right, `ca=${empty}`), `The "ca" in LOCKSTEP_KAFKA_URL cannot be used: the file "${empty}" is empty.`],
    [at(right, `ca=${otherKey}`), `The "ca" in LOCKSTEP_KAFKA_URL cannot be used: the file "${otherKey}" has no certificate.`],
    [mutualAt(`&cert=${empty}&key=${otherKey}`), `The "cert" in LOCKSTEP_KAFKA_URL cannot be used: the file "${empty}" is empty.`],
    [
      at(right, 'ca=/nowhere.pem'),
      'The "ca" in LOCKSTEP_KAFKA_URL cannot be used: the file "/nowhere.pem" cannot be read: there is no such file or folder',
    ],
  ] as const
  const messages = await Promise.all(cases.map(([url]) => said(url)))
  for (const [i, [url, reason]] of cases.entries()) {
    expect(messages[i], url).toContain(reason)
    expect(messages[i]).not.toMatch(/wr0ng|p@ss|p%40ss/)
  }
  await rm(folder, { recursive: true })
})
