import { join } from 'node:path'
import { transform } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { loadTransform } from '../../kernel/transform.ts'
import { printing, readableCode, reprint, sameCode } from '../../registry/bundle/expression.ts'
import { ModuleCache } from '../../registry/bundle/module-graph.ts'
import { definitionFiles, load, withTransform } from './definition-files.ts'

/** The only code of a set, as a function. */
async function loaded(files: Record<string, string>): Promise<(row: object) => unknown> {
  const set = await load(files)
  const [code] = [...set.code.values()]
  return loadTransform(code ?? '', 'test') as (row: object) => unknown
}

describe('the bundle of a transform', () => {
  it('includes constants, helpers, other files and JSON', async () => {
    const transform = await loaded({
      'features.ts': withTransform(
        '(row) => ({ x: scaled(row.delay) + OFFSET + table.plus })',
        "import { scaled } from './lib/scale.ts'\nimport table from './table.json' with { type: 'json' }\nconst OFFSET: number = Math.sqrt(16)",
      ),
      'lib/scale.ts':
        "import { factor } from './factor.js'\nexport function scaled(x: number | null): number { return (x ?? 0) * factor }\n",
      'lib/factor.js': 'export const factor = 10\nexport const unused = process.env.HOME\n',
      'table.json': '{ "plus": 0.5 }',
    })
    expect(transform({ delay: 3 })).toEqual({ x: 34.5 })
  })

  it('includes packages of plain JavaScript, ES modules and CommonJS', async () => {
    const transform = await loaded({
      'features.ts': withTransform(
        '(row) => ({ x: twice(half.half(row.delay ?? 0)) + 1 })',
        "import { twice } from 'twice'\nimport half from 'half'",
      ),
      'node_modules/twice/package.json': '{ "name": "twice", "type": "module", "exports": "./index.js" }',
      'node_modules/twice/index.js': 'export const twice = (x) => x * 2\n',
      'node_modules/twice/index.d.ts': 'export declare const twice: (x: number) => number\n',
      'node_modules/half/package.json': '{ "name": "half", "main": "index.js" }',
      'node_modules/half/index.js': 'exports.half = (x) => x / 2\n',
    })
    expect(transform({ delay: 8 })).toEqual({ x: 9 })
  })

  it('is one expression through aliases and namespaces, for every kind of function', async () => {
    const forms = [
      withTransform('(row) => ({ x: row.delay })'),
      withTransform('function (row) { return { x: row.delay } }'),
      withTransform('passed', 'const passed = (row: { delay: number | null }) => ({ x: row.delay })'),
      withTransform('((row) => ({ x: row.delay })) satisfies unknown'),
      withTransform('(row) => ({ x: row.delay })')
        .replace('transform: (row) => (', 'transform(row) { return (')
        .replace('row.delay }),', 'row.delay }) },'),
      withTransform('(row) => ({ x: row.delay })').replace('featureView,', 'featureView as fv,').replace('= featureView(', '= fv('),
      withTransform('(row) => ({ x: row.delay })')
        .replace("from 'lockstep'", "from 'lockstep'\nimport * as ls from 'lockstep'")
        .replace('= featureView(', '= ls.featureView('),
    ]
    for (const text of forms) expect((await loaded({ 'features.ts': text }))({ delay: 4 })).toEqual({ x: 4 })
  })

  it('keeps values that a helper prepares at its top level', async () => {
    const above = "const codes = new Map<string, number>()\ncodes.set('ATL', 7)\nconst { delay, ...others } = { delay: 2, more: 3 }"
    const transform = await loaded({
      'features.ts': withTransform('(row) => ({ x: (codes.get(row.code ?? "") ?? 0) + delay + others.more })', above),
    })
    expect(transform({ code: 'ATL' })).toEqual({ x: 12 })
  })

  it('finds transforms in the files that the definitions file imports', async () => {
    const set = await load({
      'features.ts': "export * from './views/delays.ts'\n",
      'views/delays.ts': withTransform('(row) => ({ x: row.delay })'),
    })
    expect(set.code.size).toBe(1)
    expect(set.views[0]?.spec.code).toBe([...set.code.keys()][0])
  })

  it('distinguishes two versions of one view', async () => {
    const text = withTransform('(row) => ({ x: 1 })')
    const second = text
      .slice(text.indexOf('export const delays'))
      .replace('const delays', 'const delaysTwo')
      .replace('version: 1', 'version: 2')
      .replace('x: 1 }', 'x: 2 }')
    const set = await load({ 'features.ts': text + second })
    const results = set.views.map((v) => (loadTransform(set.code.get(v.spec.code ?? '') ?? '', 'test') as (row: object) => unknown)({}))
    expect(results).toEqual([{ x: 1 }, { x: 2 }])
  })
})

/** A file with many views, each with a transform that names the helper `share` and one value of its own. */
function withViews(count: number): string {
  const one = withTransform(
    '(row) => ({ x: share((row.delay ?? 0) + 0) })',
    'const share = (x: number) => x / airports\nconst airports = 40',
  )
  const view = one.slice(one.indexOf('export const delays'))
  const more = Array.from({ length: count }, (_, i) => view.replaceAll('delays', `delays${i}`).replace('+ 0', `+ ${i}`))
  return one + more.join('')
}

describe('a module that is bundled for one of its transforms', () => {
  it('does not grow with the other definitions', () => {
    const lengths = [10, 100].map((count) => {
      const file = join(definitionFiles({ 'features.ts': withViews(count) }), 'features.ts')
      const { definitions, rewrite } = new ModuleCache().get(file)
      const target = definitions.find(({ name }) => name === 'delays7') ?? null
      const text = rewrite(target, 'named')
      expect(text).toContain('share((row.delay ?? 0) + 7)')
      // the line breaks stay, so that errors name the right line
      expect(text.trimEnd().split('\n').length).toBeGreaterThan(count)
      return text.replaceAll(/[\n;]+/g, '\n').length
    })
    expect(lengths[1]).toBe(lengths[0])
  })

  it('keeps the definitions that its code names, and statements apart', async () => {
    const text = withTransform(
      '(row) => ({ x: last2 + size })',
      "let size = 1\nconst last2 = size\nconst other = entity('other', { key: { o: t.string } })\n;(() => { size = 2 })()",
    )
    const transform = loadTransform([...(await load({ 'features.ts': text })).code.values()][0] ?? '', 'test') as (row: object) => unknown
    expect(transform({})).toEqual({ x: 3 })
    const named = withTransform('(row) => ({ x: key().length })', 'const key = () => airport.name')
    await expect(load({ 'features.ts': named })).rejects.toMatchObject({
      code: 'TRANSFORM_IMPURE',
      message: expect.stringContaining('the definition "airport"'),
    })
  })

  it('is refused for the first of several transforms that are wrong, after it tried those before it', async () => {
    const bad = (text: string, name: string, transform: string) =>
      text.replace(new RegExp(`(featureView\\('${name}',[^]*?transform: )[^\\n]*`), `$1${transform},`)
    const impure = bad(withViews(6), 'delays3', '(row) => ({ x: Math.random() })')
    await expect(load({ 'features.ts': impure })).rejects.toMatchObject({
      code: 'TRANSFORM_IMPURE',
      message: expect.stringContaining('"delays3"'),
    })
    await expect(load({ 'features.ts': bad(impure, 'delays2', '(row) => ({})') })).rejects.toMatchObject({
      code: 'TRANSFORM_FAILED',
      message: expect.stringContaining('"delays2"'),
    })
  })

  it('has all definitions if a module that it imports imports it', async () => {
    const files = (helper: string) => ({
      'features.ts': withTransform('(row) => ({ x: helper() })', "import { helper } from './helper.ts'\nexport const one = 1").replace(
        'const airport',
        'export const airport',
      ),
      'helper.ts': `import * as all from './features.ts'\nimport { airport, one } from './features.ts'\nexport const helper = () => ${helper}\nexport const unused = () => airport\n`,
    })
    expect((await loaded(files('one + 1')))({})).toEqual({ x: 2 })
    for (const use of ['airport.name.length', 'all.airport.name.length']) {
      await expect(load(files(use))).rejects.toMatchObject({
        code: 'TRANSFORM_IMPURE',
        message: expect.stringContaining('the definition "airport"'),
      })
    }
  })
})

/** Another view called "delays", made in a function from `airport` and `landings`. */
function made(version: string): string {
  return `const make = (version: number) => featureView('delays', { version, entity: airport, source: landings, derive: { x: t.float64 }, transform: () => ({ x: 2 }), features: { x: last('x') } })
export const made = make(${version})
`
}

describe('a transform that is not in plain sight', () => {
  const cases: Record<string, string> = {
    'made in a function': withTransform('(row) => ({ x: 1 })')
      .replace('export const delays = ', 'const make = () => ')
      .replace(/\n$/, '\nexport const delays = make()\n'),
    'under a computed name': withTransform('(row) => ({ x: 1 })').replace("featureView('delays'", "featureView('del' + 'ays'"),
    'exported as default': withTransform('(row) => ({ x: 1 })').replace('export const delays =', 'export default'),
    'in a body made elsewhere': withTransform('(row) => ({ x: 1 })')
      .replace("featureView('delays', {", 'const body = {')
      .replace('x: 1 }),', 'x: 1 }), ')
      .replace(/^export const delays = const body/m, 'const body')
      .replace(/\}\)\n$/, "}\nexport const delays = featureView('delays', body)\n"),
    'under another version of it in plain sight': `${withTransform('(row) => ({ x: 1 })')}${made('2')}`,
    'made under the name and version of one in plain sight that nobody exports': `${withTransform('(row) => ({ x: 1 })').replace('export const delays', 'const hidden')}${made('1')}`,
    'in a let': withTransform('(row) => ({ x: 1 })').replace('export const delays', 'export let delays'),
  }
  for (const [name, text] of Object.entries(cases)) {
    it(`is refused ${name}`, async () => {
      await expect(load({ 'features.ts': text })).rejects.toMatchObject({
        code: 'TRANSFORM_NOT_STATIC',
        message: expect.stringContaining('"delays"'),
      })
    })
  }

  it('is refused if another file exports the same name and version', async () => {
    const views =
      withTransform('(row) => ({ x: 1 })') +
      made('1')
        .replace('const make', 'export const make')
        .replace(/export const made.*\n/, '')
    const files = { 'features.ts': "import { make } from './views.ts'\nexport const made = make(1)\n", 'views.ts': views }
    await expect(load(files)).rejects.toMatchObject({
      code: 'TRANSFORM_NOT_STATIC',
      message: expect.stringContaining('created elsewhere than "delays"'),
    })
  })

  it('does not hide another transform that is exported beside it', async () => {
    const text = withTransform('(row) => ({ x: 1 })')
    const maker = made('1')
      .replace("'delays'", "'other'")
      .replace(/, derive: .*? \}\), features: .*? \}\)/, ", features: { x: last('delay') } })")
    expect(maker).not.toContain('transform')
    const set = await load({ 'features.ts': text + maker })
    expect(set.views.map(({ spec }) => [spec.name, spec.code !== null])).toEqual([
      ['delays', true],
      ['other', false],
    ])
    const service = "export const all = featureService('all', { version: 1, features: [delays] })\n"
    const hidden = text.replace('export const', 'const').replace('featureView,', 'featureService, featureView,') + service
    expect((await load({ 'features.ts': hidden })).code.size).toBe(1)
    await expect(load({ 'features.ts': hidden + maker })).rejects.toMatchObject({
      code: 'TRANSFORM_NOT_STATIC',
      message: expect.stringContaining('Export "delays"'),
    })
  })
})

describe('an impure transform', () => {
  const cases: [what: string, transform: string, above?: string][] = [
    ['Date.now', '(row) => ({ x: Date.now() })'],
    ['new Date() without arguments', '(row) => ({ x: new Date().getTime() })'],
    ['Date()', '(row) => ({ x: Date().length })'],
    ['Math.random', '(row) => ({ x: Math.random() })'],
    ['Math.random', '(row) => ({ x: Math["random"]() })'],
    ['the global "performance"', '(row) => ({ x: performance.now() })'],
    ['the global "process"', '(row) => ({ x: Number(process.env.X) })'],
    ['the global "fetch"', '(row) => { void fetch("http://localhost"); return { x: 1 } }'],
    ['the global "eval"', '(row) => ({ x: eval("1") })'],
    ['the global "Function"', '(row) => ({ x: new Function("return 1")() })'],
    ['a function created from text', '(row) => ({ x: (() => {}).constructor("return globalThis.process.pid")() })'],
    ['a function created from text', '(row) => ({ x: [].map.constructor("return 1")() })'],
    ['a function created from text', '(row) => ({ x: [].map["constructor"]("return 1")() })'],
    ['a function created from text', '(row) => ({ x: new ([].constructor.constructor)("return 1")() })'],
    ['a function created from text (Function)', '(row) => { const F: any = [].map.constructor; return { x: new F("return 1")() } }'],
    ['a function created from text (Function)', '(row) => { const { constructor: F }: any = () => 1; return { x: F("return 1")() } }'],
    ['a function created from text (Function)', '(row) => ({ x: Reflect.construct([].map.constructor, ["return 1"])() })'],
    [
      'a function created from text (Function)',
      '(row) => { const f: any = row.x; try { ([] as any).map[["con", "structor"].join("")]("") } catch {} return { x: 1 } }',
    ],
    [
      'a function created from text (Function)',
      '(row) => ({ x: made() })',
      'const made = Reflect.construct([].map.constructor, ["return 1"])',
    ],
    [
      'a function created from text (GeneratorFunction)',
      '(row) => { const F: any = Object.getPrototypeOf(function* () {}).constructor; return { x: new F("").length } }',
    ],
    ['the global "globalThis"', '(row) => ({ x: globalThis["Date"].now() })'],
    ['the global "eval"', '(row) => ({ x: (0, eval)("1") })'],
    ['Math.random', '(row) => { const { random } = Math; return { x: random() } }'],
    ['Math.random', '(row) => ({ x: random() })', 'const { random } = Math'],
    ['Date.now', '(row) => { const { now: clock } = Date; return { x: clock() } }'],
    ['Date.now', '(row) => ({ x: (new Date(0).constructor as any).now() })'],
    ['new Date() without arguments', '(row) => ({ x: new (new Date(0).constructor as any)().getTime() })'],
    ['the global "Intl"', '(row) => ({ x: new Intl.NumberFormat().format(1).length })'],
    ['the global "globalThis"', '(row) => ({ x: globalThis.x })'],
    ['getHours', '(row) => ({ x: new Date(row.at ?? 0).getHours() })'],
    ['toLocaleString', '(row) => ({ x: (1).toLocaleString().length })'],
    ['getTimezoneOffset', '(row) => ({ x: new Date(0).getTimezoneOffset() })'],
    ['import()', "(row) => { void import('./other.ts'); return { x: 1 } }"],
    ['the import "node:fs"', "(row) => ({ x: readFileSync('/etc/hostname').length })", "import { readFileSync } from 'node:fs'"],
    ['the import "os"', '(row) => ({ x: os.cpus().length })', "import os from 'os'"],
    ['import.meta', '(row) => ({ x: import.meta.url.length })'],
    ['"setting", a value that is awaited', '(row) => ({ x: setting })', 'const setting = await Promise.resolve(1)'],
    ['re.test, where re is /a/g', '(row) => ({ x: re.test(String(row.delay)) ? 1 : 0 })', 'const re = /a/g'],
    ['re.exec, where re is', '(row) => ({ x: row.delay === 0.125 ? re.exec("a")?.length : 0 })', 'const re = new RegExp("a", "dg")'],
    [
      'the regular expression /a/y',
      '(row) => ({ x: has(String(row.delay)) ? 1 : 0 })',
      'const has = ((re) => (s: string) => re.test(s))(/a/y)',
    ],
    ['the regular expression /a/g', '(row) => ({ x: re.a.exec(String(row.delay)) ? 1 : 0 })', 'const re = { a: /a/g }'],
    ['the regular expression /a/y', '(row) => ({ x: "a".replace(K.re, "").length })', 'class K { static re = /a/y }'],
    ['the global "Promise"', '(row) => { void Promise.resolve(1).then(() => 2); return { x: 1 } }'],
    ['the global "Promise"', '(row) => { void later(); return { x: 1 } }', 'const later = () => new Promise<void>((done) => done())'],
    ['the global "queueMicrotask"', '(row) => { queueMicrotask(() => {}); return { x: 1 } }'],
    ['the global "setTimeout"', '(row) => { setTimeout(() => {}, 1); return { x: 1 } }'],
    ['an async function', 'async (row): Promise<any> => ({ x: 1 })'],
    ['an async function', '(row) => { void (async () => { await 1 })(); return { x: 1 } }'],
    ['an async function', '(row) => { void later(); return { x: 1 } }', 'async function later() { await null }'],
    ['an async function', '(row) => { void later.go(); return { x: 1 } }', 'const later = { async *go() { yield 1 } }'],
    ['fromAsync', '(row) => { void (Array as any).fromAsync([1]).then(() => 2); return { x: 1 } }'],
    ['fromAsync', '(row) => { void (Array as any)[["from", "Async"].join("")]([1]); return { x: 1 } }'],
    ['the definition "airport"', '(row) => ({ x: airport.name.length })'],
    ['the import', '(row) => ({ x: t.vector(3).length })'],
  ]
  for (const [what, transform, above] of cases) {
    it(`is refused for ${what} in ${transform}`, async () => {
      const error: unknown = await load({ 'features.ts': withTransform(transform, above), 'other.ts': 'export {}\n' }).catch(
        (e: unknown) => e,
      )
      expect(error).toMatchObject({ code: 'TRANSFORM_IMPURE', message: expect.stringContaining('view "delays"') })
      expect((error as Error).message).toContain(what)
    })
  }

  it('is reported with the file and line of its use', async () => {
    const files = {
      'features.ts': withTransform('(row) => ({ x: jitter(row.delay) })', "import { jitter } from './jitter.ts'"),
      'jitter.ts':
        'interface Unused {\n  a: number\n}\nexport const other = 1\nexport function jitter(x: number | null): number {\n  return (x ?? 0) +\n    Math.random()\n}\n',
    }
    await expect(load(files)).rejects.toMatchObject({ message: expect.stringMatching(/jitter\.ts:7\)/) })
    const own = withTransform(
      '(row) => {\n    const now = 1\n    return { x: now + performance.now() }\n  }',
      'const a = {\n  b: 1,\n}\nconst [c] = [\n  1,\n]',
    )
    const line = own.split('\n').findIndex((l) => l.includes('performance')) + 1
    await expect(load({ 'features.ts': own })).rejects.toMatchObject({ message: expect.stringContaining(`features.ts:${line})`) })
  })

  it('is accepted with a regular expression that keeps no state', async () => {
    const text = withTransform(
      `(row) => {
        const s = String(row.delay), own = /[0-9]/g
        let digits = 0
        while (own.test(s)) digits++
        return { x: digits + s.replace(re.digit, '').length + (s.match(re.digit)?.length ?? 0) + [...s.matchAll(re.digit)].length + s.search(re.sticky) + s.split(re.sticky).length + (plain.test(s) ? 1 : 0) }
      }`,
      'const re = { digit: /[0-9]/g, sticky: /1/y }\nconst plain = /1/i',
    )
    await expect(load({ 'features.ts': text })).resolves.toBeDefined()
  })

  it('is refused if it keeps state between calls, or changes its input', async () => {
    await expect(load({ 'features.ts': withTransform('(row) => ({ x: calls++ })', 'let calls = 0') })).rejects.toMatchObject({
      code: 'TRANSFORM_IMPURE',
    })
    await expect(
      load({ 'features.ts': withTransform('(row) => { (row as { delay: number }).delay = 1; return { x: 1 } }') }),
    ).rejects.toMatchObject({
      code: 'TRANSFORM_IMPURE',
      message: expect.stringContaining('"delay"'),
    })
    await expect(load({ 'features.ts': withTransform('(row) => ({ x: new D().getTime() })', 'const D = Date') })).rejects.toMatchObject({
      code: 'TRANSFORM_IMPURE',
    })
    for (const [change, named] of [
      ['(Object.prototype as any).leaked = 1', 'Object.prototype.leaked'],
      ['(Array.prototype as any).map = () => []', 'Array.prototype.map'],
      ['(JSON as any).parse = null; throw new Error("late")', 'JSON.parse'],
    ] as const)
      await expect(load({ 'features.ts': withTransform(`(row): { x: number } => { ${change}; return { x: 1 } }`) })).rejects.toMatchObject({
        code: 'TRANSFORM_IMPURE',
        message: expect.stringContaining(`view "delays" changes "${named}"`),
      })
    expect([[1].map((x) => x), JSON.parse('1'), 'leaked' in {}]).toEqual([[1], 1, false])
  })
})

describe('a pure transform', () => {
  const cases = [
    '(row) => ({ x: row.at === null ? null : new Date(row.at / 1000).getUTCHours() })',
    '(row) => ({ x: Date.UTC(2001, 0, 1) + Math.max(1, row.delay ?? 0) })',
    '(row) => { const fetch = (n: number) => n; return { x: fetch(1) } }',
    '({ delay: process = 0 }) => ({ x: process })',
    '(row) => { try { return { x: JSON.parse(row.code ?? "null").a ?? null } } catch (window) { return null } }',
    '(row) => { outer: for (const [performance] of [[1]]) { if (performance) break outer } return { x: ((global) => global.fetch)({ fetch: 1 }) } }',
    '(row) => { class A { getTime = 1; static process() { return new A().getTime } } return { x: A.process() } }',
    '(row) => ({ x: row.delay!.toFixed(1).length })',
    '(row) => { const at = new Date(0); return { x: new (at.constructor as any)(5).getTime() } }',
    '(row) => ({ x: [].constructor === Array && (() => 1).call.constructor.name === "Function" ? new ([].constructor as any)(3).length : 0 })',
    '({ code, ...rest }) => ({ x: Object.keys({ ...rest }).length + Object.entries(rest).length })',
    '(row) => { let n = JSON.stringify(row).length; for (const name in row) n += name.length; return { x: n + `${row}`.length } }',
    '(row) => ({ x: "other" in row || Object.hasOwn(row, "other") || row.hasOwnProperty("other") ? row.other : row.constructor.name.length })',
    '(row) => ({ ...row, x: typeof window === "undefined" ? 1 : 2 })',
  ]
  for (const transform of cases) {
    it(`is accepted: ${transform}`, async () => {
      expect((await load({ 'features.ts': withTransform(transform) })).code.size).toBe(1)
    })
  }
})

describe('a transform that returns the wrong shape', () => {
  it('is refused, naming the view and the column', async () => {
    const wrong = [
      '() => 1',
      '() => undefined',
      '() => ({})',
      '() => ({ x: undefined })',
      '() => ({ x: "1" })',
      '() => ({ x: 1n })',
      '() => [1]',
    ]
    for (const transform of wrong) {
      const text = withTransform(transform.replace('() =>', '(row): any =>'))
      await expect(load({ 'features.ts': text })).rejects.toMatchObject({
        code: 'TRANSFORM_FAILED',
        message: expect.stringContaining('view "delays"'),
      })
    }
  })
})

describe('a transform that throws', () => {
  it('is refused if every ordinary row does it, and only then', async () => {
    await expect(load({ 'features.ts': withTransform('(row) => ({ x: JSON.parse("{}").delya.value })') })).rejects.toMatchObject({
      code: 'TRANSFORM_FAILED',
      message: expect.stringMatching(/view "delays" throws .* undefined \(reading 'value'\)/),
    })
    const picky = '(row) => { if (row.delay !== null) throw new Error("late"); return { x: 1 } }'
    expect((await load({ 'features.ts': withTransform(picky) })).code.size).toBe(1)
  })
})

describe('a transform that never ends', () => {
  it('is refused if ordinary rows do it, and only then', async () => {
    await expect(
      load({ 'features.ts': withTransform('(row) => { for (;;) if (row.delay === -1e9) return { x: 1 } }') }),
    ).rejects.toMatchObject({
      code: 'TRANSFORM_FAILED',
      message: expect.stringContaining('view "delays"'),
    })
    const strange = '(row) => { while (row.code?.length === 300 && Number.isNaN(row.delay)); return { x: 1 } }'
    expect((await load({ 'features.ts': withTransform(strange) })).code.size).toBe(1)
  })
})

describe('code identity', () => {
  it('looks through spaces and equal ways to write, not through names or meaning', async () => {
    expect(await sameCode('(row) => {\n  return { x: true }\n}', '(row=>({x:!0}))')).toBe(true)
    expect(await sameCode('(row) => ({ x: 1 })', '(row) => ({ x: 2 })')).toBe(false)
    expect(await sameCode('(row) => ({ x: 1 }) // a note', 'row=>({x:1})')).toBe(true)
  })

  it('is of code that another printing does not change, even if the first does', async () => {
    const print = async (expression: string) =>
      (await transform(`x=${expression}`, { ...printing, format: 'esm' })).code.trim().slice(2, -1)
    const slow = '(row => { const f = () => 3; const k = 1; { let z = f() + k; return { x: z } } })'
    const once = await print(slow)
    expect(await print(once)).not.toBe(once)
    expect(await reprint(slow)).toBe('(row=>({x:4}))')
    const set = await load({ 'features.ts': withTransform(slow) })
    for (const code of set.code.values()) expect(await print(code)).toBe(code)
  })
})

describe('a stored transform, for people to read', () => {
  it.each([
    ['(()=>{var f=(row=>({a:row.b}));return f})()', '(row) => ({ a: row.b })'],
    [
      '(()=>{var k=2,f=(row=>row.b*k);return f})()',
      /^\(\(\) => \{\n {2}var k = 2, f = \(\(row\) => row\.b \* k\);\n {2}return f;\n\}\)\(\)$/,
    ],
    ['not ( code', 'not ( code'],
  ])('of %s has its own lines, and no wrapper of ours', async (stored, shown) => {
    expect(await readableCode(stored)).toEqual(typeof shown === 'string' ? shown : expect.stringMatching(shown))
  })
})
