import { beforeAll, describe, expect, it } from 'vitest'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { fingerprints } from '../../registry/fingerprint.ts'
import { load, preamble } from './definition-files.ts'

const features = `import { late } from './late.ts'
${preamble}
const SLOW = 3
export const delays = featureView('delays', {
  version: 1, entity: airport, source: landings,
  derive: { late: t.int32 },
  transform: (row) => ({ late: late(row.delay) }),
  features: { n: count('1h'), share: mean('late', '24h', { default: 0 }), newest: last('delay', { ttl: '2d' }) },
})
export const distances = featureView('distances', {
  version: 1, entity: airport, source: landings, derive: { far: t.int32 },
  transform: (row) => ({ far: (row.distance ?? 0) > SLOW ? 1 : 0 }),
  features: { far: mean('far', '6h') },
})
export const context = onDemandView('context', {
  version: 1, request: { at: t.timestamp }, inputs: { origin: delays }, features: { hour: t.int32 },
  transform: ({ request, origin }) => ({ hour: Math.floor(request.at / 3.6e9) + origin.n }),
})
export const after = onDemandView('after', { version: 1, inputs: { first: context }, features: { twice: t.int32 }, transform: ({ first }) => ({ twice: first.hour }) })
export const service = featureService('service', { version: 1, features: [delays, context.pick('hour')] })
export const other = featureService('other', { version: 1, features: [distances] })
export const delay = model('delay', { service, output: { probability: t.float32 } })
`
const late = `const LIMIT = 15
export function late(delay: number | null): number | null {
  return delay === null ? null : delay > LIMIT ? 1 : 0
}
export const unused = 1
`

/** Every fingerprint of a set, by what it is of. */
function printsOf(set: DefinitionSet): Record<string, string> {
  const lists = {
    entity: set.entities,
    source: set.sources,
    view: set.views,
    onDemand: set.onDemand,
    service: set.services,
    model: set.models,
  }
  return Object.fromEntries(Object.entries(lists).flatMap(([kind, list]) => list.map((d) => [`${kind} ${d.spec.name}`, d.fingerprint])))
}

async function prints(
  edit: (text: string) => string = (x) => x,
  editLate: (text: string) => string = (x) => x,
  inside = '',
  more: Record<string, string> = {},
) {
  const changed = { 'features.ts': edit(features), 'late.ts': editLate(late), ...more }
  return printsOf(await load(changed, inside))
}

const unrelated: Record<string, () => Promise<Record<string, string>>> = {
  'another folder': () => prints(undefined, undefined, 'deep/down/below'),
  'a view above': () =>
    prints((x) =>
      x.replace(
        'const SLOW',
        `export const above = featureView('above', { version: 1, entity: airport, source: landings, transform: (row) => (row.delay === 15 ? null : {}), features: { n: count('1h') } })\nconst SLOW`,
      ),
    ),
  'a view below': () =>
    prints(
      (x) =>
        `${x}\nexport const below = featureView('below', { version: 1, entity: airport, source: landings, derive: { late: t.int32 }, transform: (row) => ({ late: late(1) }), features: { n: mean('late', '1h') } })\n`,
    ),
  'comments, spaces and blank lines': () =>
    prints(
      (x) => x.replace('transform: (row) => ({ late', '// why\n\n  transform: (row)   =>\n  /* so */ ({ late'),
      (x) => `/** What is late. */\n${x}`,
    ),
  types: () =>
    prints(
      (x) => `interface Extra { a: number }\n${x}`.replace('const SLOW = 3', 'const SLOW: number = 3'),
      (x) => x.replace('const LIMIT = 15', 'const LIMIT = 15 as const satisfies number'),
    ),
  'constants with the names of others': () =>
    prints((x) =>
      x
        .replace('const SLOW', 'const LIMIT = 99\nconst { a, b } = { a: 1, b: 2 }\nconst table = new Map([[1, a + b + LIMIT]])\nconst SLOW')
        .concat('\nconst row = table\nvoid row\n')
        .replace('\nvoid row\n', '\n'),
    ),
  'an unused import': () => prints((x) => `import { unused } from './late.ts'\nimport { readFileSync } from 'node:fs'\n${x}`),
  'an import that something else uses': () =>
    prints(
      (x) =>
        `import { readFileSync } from 'node:fs'\nimport { cpus as late2 } from './more.js'\n${x}\nexport const size = readFileSync(import.meta.filename).length + late2\n`,
      undefined,
      '',
      {
        'more.js': "import { arch } from 'node:os'\nexport const cpus = arch().length\nconst LIMIT = 3\nexport const late = LIMIT\n",
      },
    ),
  'an unused export of the helper': () => prints(undefined, (x) => x.replace('unused = 1', 'unused = new Date().getTime()')),
  'description, owner and online': () =>
    prints((x) =>
      x
        .replace("featureView('delays', {", "featureView('delays', { online: false, description: 'Delays', owner: 'us',")
        .replace("entity('airport', {", "entity('airport', { owner: 'us',"),
    ),
  'the order of columns': () =>
    prints((x) => x.replace('{ delay: t.float64, distance: t.int32 }', '{ distance: t.int32, delay: t.float64 }')),
  'another name of the variable': () => prints((x) => x.replaceAll(/\bdelays\b(?!')/g, 'airportDelays')),
  'another way to import the language': () =>
    prints((x) => x.replace('featureView,', 'featureView as view,').replaceAll('= featureView(', '= view(')),
}

describe('fingerprints', () => {
  let before: Record<string, string> = {}
  beforeAll(async () => {
    before = await prints()
  })

  for (const [name, edited] of Object.entries(unrelated)) {
    it(`stay as they are after an unrelated edit: ${name}`, async () => {
      expect(await edited()).toMatchObject(before)
    })
  }

  const all = ['view delays', 'onDemand context', 'onDemand after', 'service service', 'model delay']
  const relevant: Record<string, [edited: () => Promise<Record<string, string>>, changed: string[]]> = {
    'a constant of an imported helper': [() => prints(undefined, (x) => x.replace('15', '16')), all],
    'the transform': [() => prints((x) => x.replace('late(row.delay)', 'late(row.distance)')), all],
    'a constant in the file': [() => prints((x) => x.replace('SLOW = 3', 'SLOW = 4')), ['view distances', 'service other']],
    'a ttl': [() => prints((x) => x.replace("ttl: '2d'", "ttl: '3d'")), all],
    'a default': [() => prints((x) => x.replace('default: 0', 'default: 1')), all],
    'a window of another view': [() => prints((x) => x.replace("'far', '6h'", "'far', '12h'")), ['view distances', 'service other']],
    'the order of features': [
      () =>
        prints((x) =>
          x.replace(
            "n: count('1h'), share: mean('late', '24h', { default: 0 })",
            "share: mean('late', '24h', { default: 0 }), n: count('1h')",
          ),
        ),
      all,
    ],
    'the availability': [
      () => prints((x) => x.replace("featureView('delays', {", "featureView('delays', { availability: { schedule: '*/5 * * * *' },")),
      all,
    ],
    'the known time of the source': [
      () => prints((x) => x.replace("known: 'landed_at', ", '')),
      ['source landings', 'view distances', 'service other', ...all],
    ],
    'the key of the entity': [
      () => prints((x) => x.replace('key: { airport: t.string }', 'key: { airport: t.int64 }')),
      ['entity airport', 'view distances', 'service other', ...all],
    ],
    'the transform of an on-demand view': [
      () => prints((x) => x.replace('+ origin.n', '- origin.n')),
      ['onDemand context', 'onDemand after', 'service service', 'model delay'],
    ],
    'what an on-demand view takes of another': [
      () =>
        prints((x) =>
          x
            .replace('{ hour: t.int32 },', '{ hour: t.int32, day: t.int32 },')
            .replace('+ origin.n }', '+ origin.n, day: 1 }')
            .replace('first: context }', "first: context.pick('hour') }"),
        ),
      ['onDemand context', 'onDemand after', 'service service', 'model delay'],
    ],
    'an input under another name': [
      () => prints((x) => x.replace('first: context }', 'first: context, again: context }')),
      ['onDemand after'],
    ],
    'the members of a service': [
      () => prints((x) => x.replace("[delays, context.pick('hour')]", '[delays]')),
      ['service service', 'model delay'],
    ],
    'the alias of a member': [
      () => prints((x) => x.replace('[delays, ', "[delays.as('dest', { airport: 'airport' }), ")),
      ['service service', 'model delay'],
    ],
    'the output of a model': [() => prints((x) => x.replace('probability: t.float32', 'score: t.float32')), ['model delay']],
  }
  for (const [name, [edited, changed]] of Object.entries(relevant)) {
    it(`change exactly where they should after a relevant edit: ${name}`, async () => {
      const after = await edited()
      const differing = Object.keys(before).filter((key) => after[key] !== before[key])
      expect(differing.toSorted()).toEqual(changed.toSorted())
    })
  }

  it('match the specs and the identities of their code', async () => {
    const set = await load({ 'features.ts': features, 'late.ts': late })
    // as the registry stores them
    const stored = JSON.parse(JSON.stringify(set)) as typeof set
    // by name, an input may come later
    const again = fingerprints({ ...stored, onDemand: stored.onDemand.toReversed() })
    expect(again.get('model delay')).toBe(set.models[0]?.fingerprint)
    expect(set.onDemand.map(({ spec }) => again.get(`onDemand ${spec.name}@1`))).toEqual(set.onDemand.map((d) => d.fingerprint))
    expect(set.views.map(({ spec }) => again.get(`view ${spec.name}@${spec.version}`))).toEqual(set.views.map((v) => v.fingerprint))
    expect(set.models[0]?.fingerprint).toMatch(/^[0-9a-f]{64}$/)
  })

  it('do not depend on the folder of a bundled CommonJS package', async () => {
    const text = `${features.replace('late(row.delay)', 'half(row.delay)')}\nimport { half } from 'half'\n`
    const files = { 'features.ts': text, 'late.ts': late }
    const pack = (at: string) => ({
      [`${at}node_modules/half/package.json`]: '{ "name": "half" }',
      [`${at}node_modules/half/index.js`]: 'exports.half = (x) => Math.floor(x / 2)\n',
    })
    const near = printsOf(await load({ ...files, ...pack('') }))
    const far = printsOf(await load({ ...files, ...pack('../../') }, 'some/where'))
    expect(far).toEqual(near)
  })
})
