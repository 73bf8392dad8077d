import { describe, expect, it } from 'vitest'
import { declareDefinitions } from '../../registry/load/declare-definitions.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { portableDefinitions, readPortableDefinitions } from '../../registry/load/portable-definitions.ts'
import { sha256 } from '../../registry/sha256.ts'
import { servingSet } from '../serving/definitions.ts'
import { sampleSet } from './sample-set.ts'

/** As a server reads them. */
const sent = (set: DefinitionSet): Record<string, unknown> => JSON.parse(JSON.stringify(portableDefinitions(set, '0.1.0')))

/** A set with every operational field. */
function fullSet(): DefinitionSet {
  const set = sampleSet({ description: 'Of June' })
  const stream = { kind: 'nats', stream: 'LANDINGS', subject: null, group: 'lockstep' } as const
  const cursor = { column: 'seen', overlapMicros: 1, reconcileMicros: 2 }
  return {
    ...set,
    sources: set.sources.map((each) => ({ ...each, operational: { ...each.operational, stream, cursor, push: true } })),
    views: set.views.map((each) => ({
      ...each,
      operational: { ...each.operational, maxStateBytes: 100, freshnessMicros: 5, owner: 'us' },
    })),
    models: set.models.map((each) => ({
      ...each,
      spec: { ...each.spec, input: { x_num: ['lastDelay'] } },
      operational: {
        tolerance: 0.1,
        batchDelayMicros: 1,
        timeoutMicros: 2,
        threads: 4,
        cache: { ttlMicros: 3, maxEntries: 4 },
        threshold: 0.3,
        slices: { size: { column: 'delay', at: [1, 10] }, coast: { column: 'airport', values: { east: ['JFK', 1, true] } } },
      },
    })),
    unexported: ['source "other"'],
  }
}

function ofSingleEntity(): DefinitionSet {
  const set = sampleSet()
  const single = { spec: { name: 'everything', key: [] }, operational: {} }
  return declareDefinitions(set.file, { ...set, entities: [...set.entities, single] }, set.code)
}

describe('definitions that are sent to a server', () => {
  it.each([
    ['of flights', fullSet()],
    ['of a server', servingSet],
    ['of a single entity', ofSingleEntity()],
  ])('arrive as they were, with the fingerprints that the server computes: %s', (_, set) => {
    const { unexported } = set
    const expected = { ...declareDefinitions(set.file, set, set.code), ...(unexported === undefined ? {} : { unexported }) }
    expect(readPortableDefinitions(sent(set), '0.1.9')).toEqual(expected)
  })

  it.each<[string, string, (set: ReturnType<typeof sent>) => unknown]>([
    ['another minor version', 'VERSION_MISMATCH', (set) => ({ ...set, lockstep: '0.2.0' })],
    ['code with another hash', 'CODE_HASH_MISMATCH', (set) => ({ ...set, code: [{ hash: '0'.repeat(64), body: '() => 1' }] })],
    ['no code', 'CODE_HASH_MISMATCH', (set) => ({ ...set, code: [] })],
    ['a field that is none', 'DEFINITIONS_INVALID', (set) => ({ ...set, fingerprint: 'mine' })],
    ['no definition', 'DEFINITIONS_EMPTY', (set) => ({ ...set, ...emptied })],
    [
      'one twice',
      'DUPLICATE_NAME',
      (set) => ({ ...set, entities: [(set['entities'] as unknown[])[0], (set['entities'] as unknown[])[0]] }),
    ],
    [
      'a name with a quote',
      'INVALID_NAME',
      (set) => ({ ...set, entities: [{ spec: { name: 'a"b', key: [{ name: 'k', type: { kind: 'string' } }] }, operational: {} }] }),
    ],
    ['a feature with a quote', 'DEFINITIONS_INVALID', (set) => renamed(set, '"; drop')],
    ['a feature with the separator of aliases', 'DEFINITIONS_INVALID', (set) => renamed(set, 'a__b')],
    ['code that PostgreSQL cannot store', 'DEFINITIONS_INVALID', (set) => withCode(set, '() => "\0"')],
    ['code that would be stored as other code', 'DEFINITIONS_INVALID', (set) => withCode(set, '() => "\ud800"')],
    [
      'a description with a zero byte',
      'DEFINITIONS_INVALID',
      (set) => JSON.parse(JSON.stringify(set).replaceAll('Of June', 'Of\\u0000June')),
    ],
    ['something else', 'DEFINITIONS_INVALID', () => 'definitions'],
  ])('are refused with %s', (_, code, change) => {
    expect(() => readPortableDefinitions(change(sent(fullSet())), '0.1.0')).toThrow(expect.objectContaining({ code }))
  })
})

/** With a further transform. */
function withCode(set: Record<string, unknown>, body: string): unknown {
  return { ...set, code: [...(set['code'] as unknown[]), { hash: sha256(body), body }] }
}

/** With another name for the first feature of the first view. */
function renamed(set: Record<string, unknown>, name: string): unknown {
  const [first] = fullSet().views.flatMap(({ spec }) => spec.features)
  return JSON.parse(JSON.stringify(set).replaceAll(`"name":"${first?.name}"`, JSON.stringify({ name }).slice(1, -1)))
}

const emptied = { entities: [], sources: [], views: [], onDemand: [], services: [], models: [], code: [] }
