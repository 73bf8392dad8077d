import { describe, expect, it } from 'vitest'
import {
  count,
  entity,
  featureService,
  featureView,
  kafkaSink,
  kafkaStream,
  model,
  natsSink,
  natsStream,
  pipeline,
  redisSink,
  redisStream,
  source,
  t,
} from '../../index.ts'
import type { StatedStream } from '../../registry/define/stream.ts'
import { checkStreams } from '../../registry/changes/check-streams.ts'
import { prunable } from '../../registry/changes/prunable.ts'
import { declareDefinitions } from '../../registry/load/declare-definitions.ts'
import { declaredDefinitions } from '../../registry/definition.ts'
import { collectDefinitions } from '../../registry/load/collect.ts'
import { portableDefinitions, readPortableDefinitions } from '../../registry/load/portable-definitions.ts'

const airport = entity('airport', { key: { airport: t.string } })
const landingsOf = (stream?: StatedStream) =>
  source('landings', {
    key: { airport: 'origin' },
    eventTime: 'at',
    columns: { delay: t.float64, carrier: t.string },
    ...(stream === undefined ? {} : { stream }),
  })
const landings = landingsOf(redisStream('landings'))
const landed = featureView('landed', { version: 1, entity: airport, source: landings, features: { landed: count('1d') } })
const carriers = entity('carrier', { key: { carrier: t.string, terminal: t.string } })
const byCarrier = featureView('by_carrier', {
  version: 1,
  entity: carriers,
  source: source('flights', { key: { carrier: 'carrier', terminal: 'terminal' }, eventTime: 'at', columns: {} }),
  features: { flights: count('1d') },
})
const delay = model('delay', { service: featureService('flight', { version: 1, features: [landed] }), output: { p: t.float32 } })
const busy = model('busy', { service: featureService('busy', { version: 1, features: [landed, byCarrier] }), output: { p: t.float32 } })
const ofDelay = (more: object = {}) => pipeline('score', { from: landings, model: delay, to: redisSink('scores'), ...more })

const none = {
  entities: [],
  sources: [],
  views: [],
  onDemand: [],
  services: [],
  models: [],
  outcomes: [],
  channels: [],
  monitors: [],
  experiments: [],
  batches: [],
  pipelines: [],
  trainings: [],
}

describe('a pipeline', () => {
  it('takes fields of the service from the key of the source, or from columns of their names', () => {
    expect(ofDelay().spec).toEqual({
      name: 'score',
      source: 'landings',
      model: 'delay',
      version: null,
      sink: { kind: 'redis', stream: 'scores', field: 'data', maxLength: null, windowSeconds: 86_400 },
      entities: [{ field: 'airport', column: 'origin' }],
      key: ['origin'],
      group: 'lockstep_pipeline_score',
      ledger: false,
    })
    const { spec } = pipeline('score', {
      from: landings,
      model: busy,
      to: kafkaSink({ topic: 'flights.scored' }),
      entities: { terminal: 'origin' },
      key: 'carrier',
      ledger: true,
      tries: 2,
      version: 'challenger',
    })
    const fromKafka = landingsOf(kafkaStream({ topic: 'landed' }))
    const { sink } = pipeline('once', { from: fromKafka, model: delay, to: kafkaSink({ topic: 'out', transactions: true }) }).spec
    expect(sink).toEqual({ kind: 'kafka', stream: 'out', transactions: true })
    expect(spec).toMatchObject({
      entities: expect.arrayContaining([
        { field: 'airport', column: 'origin' },
        { field: 'carrier', column: 'carrier' },
        { field: 'terminal', column: 'origin' },
      ]) as unknown,
      key: ['carrier'],
      sink: { kind: 'kafka', stream: 'flights.scored' },
      ledger: true,
      tries: 2,
      version: 'challenger',
    })
  })

  it.each([
    [() => ofDelay({ from: landingsOf() }), 'reads the source "landings", which has no stream'],
    [() => ofDelay({ from: delay }), 'The "from" of the pipeline "score" is model; it must be a source'],
    [() => ofDelay({ to: redisSink('landings') }), 'writes to the stream that it reads'],
    [() => ofDelay({ to: kafkaSink({ topic: 'out', transactions: true }) }), 'in transactions, which must read from Kafka, too'],
    [() => kafkaSink({ topic: 'out', transactions: 'yes' as never }), 'has the transactions "yes"; write true or false.'],
    [() => ofDelay({ to: 'scores' }), 'writes to "scores"; write redisSink'],
    [() => ofDelay({ to: { kind: 'redis', stream: 's' } }), 'write redisSink'],
    [() => ofDelay({ model: busy }), 'needs the field "terminal" of the service "busy"'],
    [
      () => ofDelay({ entities: { airport: 'orgin' } }),
      'takes the field "airport" from "orgin", which the source "landings" does not have. Did you mean "origin"',
    ],
    [() => ofDelay({ entities: { airprt: 'origin' } }), 'has the entity field "airprt"'],
    [() => ofDelay({ key: 'gate' }), 'has the key "gate"; name columns'],
    [() => ofDelay({ key: [] }), 'name columns'],
    [() => ofDelay({ group: 'lockstep_landings' }), 'has the group "lockstep_landings" of the source "landings"'],
    [() => ofDelay({ ledger: 'yes' }), 'has the ledger "yes"'],
    [() => ofDelay({ tries: 0 }), 'has the tries 0; write a whole number from 1 to 100.'],
    [() => ofDelay({ version: 0 }), 'has the version 0'],
    [() => ofDelay({ sink: 1 }), 'has the field "sink"'],
    [() => redisSink(''), 'not empty'],
    [() => redisSink('s', { maxLength: 0 }), 'has the maxLength 0'],
    [() => redisSink('s', { window: '1s' }), 'at least "60s"'],
    [() => natsSink({ stream: 'S', subject: 's.>' }), 'without "*" and ">"'],
    [() => kafkaSink({ topic: 'a b' }), 'cannot be called "a b"'],
  ])('refuses what cannot run (%#)', (make, message) => {
    expect(make).toThrow(message)
  })

  it('is part of the registry, and brings its source and model with it', () => {
    const values = collectDefinitions([ofDelay()])
    expect(values.pipelines.map(({ name }) => name)).toEqual(['score'])
    expect(values.sources.map(({ name }) => name)).toEqual(['landings'])
    expect(values.models.map(({ name }) => name)).toEqual(['delay'])
  })

  it('is sent to servers and read there', () => {
    const set = declareDefinitions('f.ts', { ...none, pipelines: [{ spec: ofDelay().spec, operational: {} }] }, new Map())
    const json: unknown = JSON.parse(JSON.stringify(portableDefinitions(set, '1.0.0')))
    expect(readPortableDefinitions(json, '1.0.0').pipelines).toEqual(set.pipelines)
  })

  it.each([
    ['redis', redisStream('landings'), redisSink('landings')],
    ['nats', natsStream({ stream: 'S' }), natsSink({ stream: 'S', subject: 's.a' })],
    ['kafka', kafkaStream({ topic: 's' }), kafkaSink({ topic: 's' })],
  ] as const)('may not share a group, or write to what its source reads later: %s', (_, stream, sink) => {
    const set = (pipelines: readonly ReturnType<typeof ofDelay>[], hasStream = true) => {
      const from = landingsOf(stream)
      const operational = hasStream ? ({ stream: from.stream ?? undefined } as { stream: NonNullable<typeof from.stream> }) : {}
      const sources = [{ spec: from.spec, operational }]
      return declaredDefinitions(
        declareDefinitions('f.ts', { ...none, sources, pipelines: pipelines.map(({ spec }) => ({ spec, operational: {} })) }, new Map()),
      )
    }
    const other = { ...ofDelay(), spec: { ...ofDelay().spec, name: 'other', sink } }
    const to = { kind: 'kafka', stream: 'answers' } as const
    const two = ['a', 'b'].map((name) => ({ ...ofDelay(), spec: { ...ofDelay().spec, name, sink: to, group: 'g' } }))
    expect(checkStreams(set([other])).map(({ message }) => message)).toEqual([expect.stringContaining('The pipeline "other" writes to')])
    expect(checkStreams(set(two)).map(({ message }) => message)).toEqual([
      expect.stringContaining('The pipelines "a" and "b" both read the'),
    ])
    expect(checkStreams(set(two.slice(1)))).toEqual([])
    const inTransactions = { ...ofDelay(), spec: { ...ofDelay().spec, sink: { ...to, transactions: true as const } } }
    const needsKafka = expect.stringMatching(
      /"score" writes to the Kafka topic "answers" in transactions, so it must read from Kafka, too, but the source "landings"/,
    ) as unknown
    expect(checkStreams(set([inTransactions])).map(({ message }) => message)).toEqual(sink.kind === 'kafka' ? [] : [needsKafka])
    const [ofSource, ...ofPipeline] = set(two.slice(1), false)
    if (ofSource === undefined) throw new Error('The set has a source.')
    expect(checkStreams([ofSource, ...ofPipeline]).map(({ message }) => message)).toEqual([
      expect.stringContaining('The pipeline "b" reads the stream of the source "landings", and the source has none. Declare its stream'),
    ])
    expect(prunable([ofSource], ofPipeline, []).kept).toMatchObject([{ name: 'landings', neededBy: ['pipeline "b"'] }])
    expect(prunable([ofSource, ...ofPipeline], [], []).kept).toEqual([])
  })
})
