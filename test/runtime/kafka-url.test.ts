import { describe, expect, it } from 'vitest'
import { kafkaServers, parseKafkaUrl } from '../../runtime/settings/kafka-url.ts'

describe('the URL of Kafka', () => {
  it('names brokers, sign-in and TLS', () => {
    expect(parseKafkaUrl('kafka://a:9093,b,[::1]:9094')).toEqual({
      brokers: [
        { host: 'a', port: 9093 },
        { host: 'b', port: 9092 },
        { host: '::1', port: 9094 },
      ],
      sasl: null,
      tls: false,
      ca: null,
      client: null,
    })
    expect(parseKafkaUrl('kafkas://me:p%40ss:w@a/?sasl=scram-sha-512')).toMatchObject({
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'me', password: 'p@ss:w' },
      tls: true,
    })
    expect(parseKafkaUrl('kafkas://a?ca=/etc/ca.pem')).toMatchObject({ tls: true, ca: '/etc/ca.pem' })
    expect(parseKafkaUrl('kafkas://a?cert=/c.pem&key=/k.pem')).toMatchObject({ sasl: null, client: { cert: '/c.pem', key: '/k.pem' } })
    expect(parseKafkaUrl('kafkas://me:secret@a')).toMatchObject({ sasl: { mechanism: 'PLAIN' } })
  })

  it('is shown without its user', () => {
    const address = parseKafkaUrl('kafkas://me:secret@a:9093,[::1]')
    expect(address === null ? null : kafkaServers(address)).toBe('a:9093,[::1]:9092')
  })

  it.each([
    'none',
    'kafka://',
    'kafka://a,',
    'kafka://me@a',
    'kafka://:p@a',
    'kafka://a?sasl=plain',
    'kafka://me:p@a?sasl=gssapi',
    'kafka://a?acks=all',
    'kafka://a?ca=/etc/ca.pem',
    'kafkas://a?cert=/c.pem',
    'kafkas://a?key=/k.pem',
    'kafkas://a?cert=&key=/k.pem',
    'kafka://a?cert=/c.pem&key=/k.pem',
    'kafka://a/topic',
    'kafka://me:%@a',
  ])('%s is none', (text) => {
    expect(parseKafkaUrl(text)).toBeNull()
  })
})
