import { describe, expect, it } from 'vitest'
import { kafkaStream, natsStream, redisStream, source, t } from '../../index.ts'
import { checkStreams } from '../../registry/changes/check-streams.ts'
import type { Definition } from '../../registry/definition.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'

const rest = { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } }

describe('the stream of a source', () => {
  it('is read as a group named after the source by default', () => {
    expect(source('s', { ...rest, stream: redisStream('landings') }).stream).toEqual({
      kind: 'redis',
      stream: 'landings',
      field: 'data',
      group: 'lockstep_s',
    })
    expect(source('s', { ...rest, stream: redisStream('a:b', { field: 'payload', group: 'g' }) }).stream).toMatchObject({
      stream: 'a:b',
      field: 'payload',
      group: 'g',
    })
    expect(source('s', { ...rest, stream: natsStream({ stream: 'FLIGHTS', subject: 'flights.*.landed.>' }) }).stream).toEqual({
      kind: 'nats',
      stream: 'FLIGHTS',
      subject: 'flights.*.landed.>',
      group: 'lockstep_s',
    })
    expect(source('s', { ...rest, stream: kafkaStream({ topic: 'flights.landed' }) }).stream).toEqual({
      kind: 'kafka',
      stream: 'flights.landed',
      group: 'lockstep_s',
    })
  })

  it('does not change the identity of the source', () => {
    expect(source('s', { ...rest, stream: redisStream('landings') }).spec).toEqual(source('s', rest).spec)
  })

  it("is refused for a table that is not Lockstep's, or an invalid stream", () => {
    const stream = redisStream('landings')
    expect(() => source('s', { ...rest, table: 'flights', stream })).toThrow('"s" reads a table of your own')
    expect(() => source('s', { ...rest, sql: 'select 1', stream })).toThrow('"s" reads a query of your own')
    expect(() => source('s', { ...rest, stream: 'landings' as never })).toThrow(`write redisStream('…')`)
    expect(() => source('s', { ...rest, stream: structuredClone(stream) })).toThrow(`write redisStream('…')`)
    expect(() => redisStream('')).toThrow('The key of a Redis stream is ""')
    expect(() => redisStream('a', { group: 'a b' })).toThrow('cannot be called "a b"')
    expect(() => natsStream({ stream: 'a.b' })).toThrow('A JetStream stream cannot be called "a.b"')
    expect(() => kafkaStream({ topic: 'a b' })).toThrow('A Kafka topic cannot be called "a b"')
    expect(() => kafkaStream({ topic: '..' })).toThrow('A Kafka topic cannot be called ".."')
    expect(() => kafkaStream({ topic: 'a', group: '' })).toThrow('The group of Kafka topic "a" cannot be called ""')
    expect(() => natsStream({ stream: 'a', subject: 'a..b' })).toThrow('The subject of JetStream stream "a" is "a..b"')
  })

  it('is refused if two sources share it as one group', () => {
    const sourceOf = (name: string, stream: StreamSpec | null): Definition => ({
      kind: 'source',
      version: 0,
      fingerprint: name,
      retired: false,
      signature: null,
      operational: stream === null ? {} : { stream },
      spec: source(name, rest).spec,
      name,
    })
    const [own, same] = ['lockstep_a', 'g'].map((group) => ({ kind: 'redis', stream: 's', field: 'data', group }) as const)
    expect(checkStreams([sourceOf('a', own ?? null), sourceOf('b', same ?? null), sourceOf('c', null)])).toEqual([])
    expect(checkStreams([sourceOf('a', same ?? null), sourceOf('b', same ?? null)]).map(({ message }) => message)).toEqual([
      expect.stringContaining('The sources "a" and "b" both read the Redis stream "s" with the group "g"'),
    ])
  })
})
