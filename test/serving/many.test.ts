import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { load } from '../registry/definition-files.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

const definitions = `import { entity, featureService, featureView, firstN, histogram, lastDistinctN, lastN, onDemandView, source, t, topK } from 'lockstep'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64, merchant: t.string, terminal: t.int64 },
})
const features = {
  first: firstN('terminal', 2, '24h'),
  recent: lastN('merchant', 3, '24h', { default: [] }),
  amounts: lastN('amount', 2, '24h'),
  distinct: lastDistinctN('merchant', 3, '24h'),
  top: topK('merchant', 2, '24h', { cap: 4 }),
  tally: histogram('merchant', '24h', { cap: 4, default: new Map([['none', 1]]) }),
}
export const habits = featureView('habits', { version: 1, entity: card, source: payments, features })
export const unstored = featureView('unstored', { version: 1, entity: card, source: payments, features, online: false })

/** Changes what it is given, but for the samples it is tried on: nobody else may see that. */
export const context = onDemandView('context', {
  version: 1, inputs: { past: habits }, features: { known: t.list(t.string), share: t.counts, changed: t.int32 },
  transform: ({ past }) => {
    const known = past.recent[0] === 'half' ? ['\\ud83d'] : past.top === null ? [] : past.top
    const wild = past.tally.get('wild') !== undefined
    if (wild) {
      const { tally, recent } = past as unknown as { tally: Map<string, number>; recent: string[] }
      tally.clear()
      recent.length = 0
    }
    return { known, share: new Map([['z', 2], ['a', past.tally.size]]), changed: wild ? 1 : 0 }
  },
})
export const habitFeatures = featureService('habit_features', { version: 1, features: [habits, context] })
export const past = featureService('past', { version: 1, features: [unstored.pick('recent', 'tally')] })
`

const rows = `insert into lockstep_source.payments (card, at, amount, merchant, terminal) values
  ('a', '2001-07-01T08:00:00Z', 1.5, 'x', 9007199254740993),
  ('a', '2001-07-01T09:00:00Z', 'NaN', null, 2),
  ('a', '2001-07-01T10:00:00Z', null, '', null),
  ('a', '2001-07-01T11:00:00Z', 4, 'x', 4),
  ('half', '2001-07-01T10:00:00Z', 1, 'half', 1),
  ('wild', '2001-07-01T10:00:00Z', 1, '404', 1), ('wild', '2001-07-01T11:00:00Z', 1, 'wild', 1),
  ('many', '2001-07-01T10:01:00Z', 1, 'm1', 1), ('many', '2001-07-01T10:02:00Z', 1, 'm2', 1), ('many', '2001-07-01T10:03:00Z', 1, 'm3', 1),
  ('many', '2001-07-01T10:04:00Z', 1, 'm4', 1), ('many', '2001-07-01T10:05:00Z', 1, 'm5', 1)`

describe.each(['redis', 'embedded'] as const)('features of many values over the %s store', (kind) => {
  let world: World
  let url: string
  let folder: string

  beforeAll(async () => {
    world = await createWorld(kind, await load({ 'features.ts': definitions }))
    await world.db.script(rows)
    await world.materialize('habits')
    const { server, url: at } = await world.serve()
    url = at
    await server.whenReady()
    folder = await mkdtemp(join(tmpdir(), 'lockstep-many-'))
  })
  afterAll(async () => {
    await world?.close()
    await rm(folder, { recursive: true })
  })

  const features = (cards: string[], more: object = {}) =>
    ask(url, '/v1/features', { service: 'habit_features', entities: cards.map((card) => ({ card })), ...more })

  it('are answered as arrays and objects, and a transform changes only its own copy', async () => {
    const { status, text, body } = await features(['a', 'none', 'wild'])
    expect(status).toBe(200)
    expect(text).toContain('"first":[9007199254740993,2]')
    expect(text).toContain('"share":{"a":2,"z":2}')
    expect(body.results[0]).toEqual({
      features: {
        first: [expect.anything(), 2],
        recent: [null, '', 'x'],
        amounts: [null, 4],
        distinct: ['', 'x'],
        top: ['x', ''],
        tally: { '': 1, x: 2 },
        known: ['x', ''],
        share: { a: 2, z: 2 },
        changed: 0,
      },
      statuses: Object.fromEntries(
        ['first', 'recent', 'amounts', 'distinct', 'top', 'tally', 'known', 'share', 'changed'].map((name) => [name, 'PRESENT']),
      ),
    })
    expect(body.results[1]).toMatchObject({
      features: { first: null, recent: [], amounts: null, top: null, tally: { none: 1 }, known: [], share: { a: 1, z: 2 } },
      statuses: { first: 'NOT_FOUND', recent: 'NOT_FOUND', tally: 'NOT_FOUND', known: 'PRESENT' },
    })
    expect(body.results[2]?.features).toMatchObject({ recent: ['404', 'wild'], tally: { 404: 1, wild: 1 }, changed: 1 })
  })

  it('have null for elements that JSON lacks, with a status', async () => {
    const { body } = await features(['a'], { asOf: '2001-07-01T09:30:00Z' })
    expect(body.results[0]).toMatchObject({ features: { amounts: [1.5, null] }, statuses: { amounts: 'INVALID', recent: 'PRESENT' } })
  })

  it('fail an entity if a text in a list has half a surrogate pair', async () => {
    const { status, body } = await features(['a', 'half'])
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ code: 'INVALID_ENTITY', details: { entity: 1, feature: 'known' } })
  })

  it('fail an entity above the category cap, naming it, online and from history', async () => {
    const online = await features(['a', 'many'])
    expect(online.status).toBe(422)
    expect(online.body.error).toMatchObject({
      code: 'TOO_MANY_CATEGORIES',
      message: expect.stringMatching(/^Entity 1: The feature "top" of "habits@1" has more than 4 categories, .*"card" = "many"/),
      details: { entity: 1, view: 'habits@1', feature: 'top', cap: 4, key: { card: 'many' } },
    })
    expect((await features(['many'], { asOf: '2001-07-01T10:04:30Z' })).body.results[0]?.features).toMatchObject({ top: ['m1', 'm2'] })
    const entities = [{ card: 'a' }, { card: 'none' }, { card: 'many' }]
    const history = await ask(url, '/v1/features', { service: 'past', entities })
    expect(history.status).toBe(422)
    expect(history.body.error).toMatchObject({
      code: 'TOO_MANY_CATEGORIES',
      details: { entity: 2, view: 'unstored@1', key: { card: 'many' } },
    })
    expect(
      (await ask(url, '/v1/features', { service: 'past', entities: entities.slice(0, 2) })).body.results.map((r) => r.features),
    ).toEqual([
      { recent: [null, '', 'x'], tally: { '': 1, x: 2 } },
      { recent: [], tally: { none: 1 } },
    ])
  })

  it('are the same in a training set, which ends cleanly if one exceeds its cap', async () => {
    const catalog = await loadCatalog(world.db)
    const service = catalog.service('habit_features')
    const spine = (cards: string) => ({ sql: `select card, timestamptz '2001-07-01T12:00Z' as t from unnest('{${cards}}'::text[]) card` })
    const out = join(folder, 'habits.parquet')
    const manifest = await createDataset(world.db, service, { spine: spine('a,none,wild'), out })
    expect(manifest.columns.map(({ type }) => type)).toEqual([
      'string',
      'timestamp',
      'list(int64 or null)',
      'list(string or null)',
      'list(float64 or null)',
      'list(string)',
      'list(string)',
      'counts',
      'list(string)',
      'counts',
      'int32',
    ])
    const objects = await parquetReadObjects({ file: (await readFile(out)).buffer })
    expect(objects).toMatchObject([
      {
        first: [9007199254740993n, 2n],
        recent: [null, '', 'x'],
        amounts: [null, 4],
        distinct: ['', 'x'],
        top: ['x', ''],
        tally: { '': 1n, x: 2n },
        share: { a: 2n, z: 2n },
      },
      { recent: [], tally: { none: 1n }, known: [] },
      { recent: ['404', 'wild'], tally: { 404: 1n, wild: 1n }, changed: 1 },
    ])
    const before = await readdir(folder)
    await expect(createDataset(world.db, service, { spine: spine('a,many,none'), out: join(folder, 'no.parquet') })).rejects.toMatchObject({
      code: 'TOO_MANY_CATEGORIES',
      message: expect.stringMatching(/"top" of "habits@1" has more than 4 categories.*"card" = "many"/),
      details: { view: 'habits@1', feature: 'top', cap: 4, key: { card: 'many' } },
    })
    expect(await readdir(folder)).toEqual(before)
  })

  it('are left out of a packed tensor and refused by a named one', async () => {
    const service = (await loadCatalog(world.db)).service('habit_features')
    const model = { name: 'm', service: 'habit_features@1', output: [] } as const
    const tensor = (name: string, ...shape: (string | number)[]) => ({ name, isTensor: true, type: 'float32', shape })
    const packed = bindModel(service, { inputs: [tensor('x', 'N', 1)], outputs: [] }, model)
    expect(packed.inputs[0]?.columns.map(({ name }) => name)).toEqual(['changed'])
    expect(packed.unused).toEqual(['first', 'recent', 'amounts', 'distinct', 'top', 'tally', 'known', 'share'])
    for (const [name, type] of [
      ['amounts', 'list(float64 or null)'],
      ['tally', 'counts'],
    ] as const) {
      expect(() => bindModel(service, { inputs: [tensor(name, 'N', 2)], outputs: [] }, model)).toThrow(
        expect.objectContaining({ code: 'MODEL_MISMATCH', message: expect.stringContaining(`cannot take the feature of type ${type}`) }),
      )
    }
  })
})
