import { execFileSync, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { definitionFiles, load, preamble } from './definition-files.ts'

const delays = `export const delays = featureView('delays', {
  version: 1, entity: airport, source: landings, derive: { late: t.int32 },
  transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 ? 1 : 0 }),
  features: { n: count('1h'), late: mean('late', '6h', { default: 0 }) },
})
`

describe('loading a definitions file', () => {
  it('gives its exports and their dependencies, as specs that the kernel compiles', async () => {
    const hidden = (preamble + delays).replaceAll('export const', 'const')
    const set = await load({
      'features.ts': `${hidden}
const context = onDemandView('context', {
  version: 2, request: { at: t.timestamp }, inputs: { here: delays, there: delays.as('there', { airport: 'destination' }) }, features: { sum: t.int32 },
  transform: ({ here, there }) => ({ sum: here.n + there.n }),
})
const service = featureService('service', { version: 3, features: [delays.as('there', { airport: 'destination' }).pick('late'), context] })
export const chosen = model('chosen', { service, output: { score: t.float32 }, description: 'The one' })
export const helper = () => 1
`,
    })
    expect(
      [set.entities, set.sources, set.views, set.onDemand, set.services, set.models].map((list) => list.map((d) => d.spec.name)),
    ).toEqual([['airport'], ['landings'], ['delays'], ['context'], ['service'], ['chosen']])
    expect(set.views[0]?.operational).toEqual({ online: true })
    expect(set.models[0]?.operational).toEqual({ description: 'The one' })
    const code = (hash: string | null) => (hash === null ? null : (set.code.get(hash) ?? null))
    const views = new Map(
      set.views.map(({ spec, fingerprint }) => [definitionId(spec), compileView({ spec, code: code(spec.code), fingerprint })]),
    )
    const onDemand = new Map(set.onDemand.map(({ spec }) => [definitionId(spec), { spec, code: code(spec.code) ?? '' }]))
    const [service] = set.services.map(({ spec, fingerprint }) => compileService({ spec, fingerprint, views, onDemand }))
    expect(service?.features.map((f) => [f.name, f.nullable])).toEqual([
      ['there__late', false],
      ['sum', true],
    ])
    expect(service?.keys.map((k) => k.name)).toEqual(['destination', 'airport'])
    expect(service?.request.map((r) => r.name)).toEqual(['at'])
  })

  it('gives on-demand views after their inputs, and tries them with selected features', async () => {
    const set = await load({
      'features.ts': `${preamble}${delays}
const first = onDemandView('c_first', {
  version: 1, request: { at: t.timestamp }, inputs: { here: delays.pick('n') }, features: { n: t.int32, far: t.int32 },
  transform: ({ here }) => { if ('late' in here) throw new Error('late is not picked'); return { n: here.n, far: 1 } },
})
const second = onDemandView('b_second', {
  version: 1, inputs: { first: first.pick('n') }, features: { n: t.int32 },
  transform: (input) => { if ('far' in input.first) throw new Error('far is not picked'); return { n: input.first.n } },
})
export const third = onDemandView('a_third', {
  version: 1, inputs: { second, first }, features: { n: t.int32 }, transform: (input) => ({ n: input.second.n }),
})
`,
    })
    expect(set.onDemand.map((d) => d.spec.name)).toEqual(['c_first', 'b_second', 'a_third'])
  })

  it('refuses a file that is missing, and a folder', async () => {
    await expect(loadDefinitions('/nowhere/features.ts')).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringContaining('/nowhere/features.ts'),
    })
    await expect(loadDefinitions(import.meta.dirname)).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringContaining(`"${import.meta.dirname}" is a folder`),
    })
  })

  it('refuses a file that does not parse, naming file and line', async () => {
    await expect(load({ 'features.ts': 'const a = 1\n\nconst b = = 2\n' })).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringMatching(/features\.ts" does not parse at line 3/),
    })
    await expect(load({ 'features.ts': "export * from './other.ts'\n", 'other.ts': '\nexport const = 1\n' })).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringMatching(/other\.ts" does not parse at line 2/),
    })
  })

  it('refuses a file that throws, naming its file', async () => {
    const text = `${preamble}\nfunction fail(): never {\n  throw new Error('out of order')\n}\nfail()\n`
    await expect(load({ 'features.ts': text })).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringMatching(/out of order.*features\.ts/),
    })
    await expect(load({ 'features.ts': "import './missing.ts'\n" })).rejects.toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringContaining('missing.ts'),
    })
  })

  it('refuses a file without definitions', async () => {
    await expect(load({ 'features.ts': 'export const a = 1\n' })).rejects.toMatchObject({
      code: 'DEFINITIONS_EMPTY',
      message: expect.stringContaining('features.ts'),
    })
    await expect(load({ 'features.ts': '' })).rejects.toMatchObject({ code: 'DEFINITIONS_EMPTY' })
  })

  it('finds definitions within exported lists, objects, maps, sets and modules', async () => {
    const entities = (names: string) => `${names}.map((name) => entity(name, { key: { id: t.string } }))`
    const text = `
      import { entity, t } from 'lockstep'
      export * as others from './others.ts'
      export const list = ${entities("['a', 'b']")}
      const nested = { count: 2, last: [list[1], entity('c', { key: { id: t.string } })], itself: null as unknown }
      nested.itself = nested
      export const map = new Map([['nested', nested]])
      export const set = new Set(${entities("['d']")})
      export default { text: 'entity', none: null }
    `
    const others = `import { entity, t } from 'lockstep'\nexport const more = ${entities("['e']")}\n`
    const { entities: found, unexported } = await load({ 'features.ts': text, 'others.ts': others })
    expect([found.map(({ spec }) => spec.name).toSorted(), unexported]).toEqual([['a', 'b', 'c', 'd', 'e'], undefined])
  })

  it('refuses two definitions of one name in a list', async () => {
    const text = `
      import { entity, t } from 'lockstep'
      export const list = [entity('a', { key: { id: t.string } }), entity('a', { key: { id: t.int64 } })]
    `
    await expect(load({ 'features.ts': text })).rejects.toMatchObject({ code: 'DUPLICATE_NAME' })
  })

  it('reports definitions that are neither exported nor reachable', async () => {
    const text = `
      import { entity, t } from 'lockstep'
      const forgotten = entity('forgotten', { key: { id: t.string } })
      export const airport = entity('airport', { key: { airport: t.string } })
    `
    expect((await load({ 'features.ts': text })).unexported).toEqual(['entity "forgotten"'])
  })

  it('refuses two definitions of one name, and accepts two versions or a repeat', async () => {
    await expect(
      load({ 'features.ts': `${preamble}export const again = entity('airport', { key: { airport: t.string } })\n` }),
    ).rejects.toMatchObject({
      code: 'DUPLICATE_NAME',
      message: expect.stringContaining('the entity "airport"'),
    })
    const second = delays.replace('const delays', 'const second').replace('> 15', '> 20')
    await expect(load({ 'features.ts': preamble + delays + second })).rejects.toMatchObject({
      code: 'DUPLICATE_NAME',
      message: expect.stringContaining('feature view "delays@1"'),
    })
    const set = await load({
      'features.ts': `${preamble}${delays}${second.replace('version: 1', 'version: 2')}export const alias = delays\n`,
    })
    expect(set.views.map((v) => definitionId(v.spec))).toEqual(['delays@1', 'delays@2'])
  })

  it("keeps an error's code and adds its location, in a separate process", () => {
    const folder = definitionFiles({
      'features.ts': preamble + delays.replace("mean('late'", "mean('lade'"),
      'throws.ts': `${preamble}\nconst nothing: any = null\nnothing.more()\n`,
    })
    const program = `
      const { loadDefinitions } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../registry/load/load-definitions.ts'))})
      for (const file of process.argv.slice(1)) await loadDefinitions(file).catch((e) => console.log(JSON.stringify({ code: e.code, message: e.message, details: e.details })))`
    const files = [join(folder, 'features.ts'), join(folder, 'throws.ts')]
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, '--', ...files], { encoding: 'utf8' })
    const [wrong, throwing] = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { code: string; message: string; details: object })
    expect(wrong).toMatchObject({ code: 'UNKNOWN_COLUMN', details: { file: files[0], line: 5 } })
    expect(wrong?.message).toMatch(/"late" of view "delays" reads the column "lade".*Did you mean "late"\?/)
    expect(throwing).toMatchObject({ code: 'DEFINITIONS_INVALID', details: { file: files[1], line: 6 } })
  })
})

describe('a definitions file that never ends', () => {
  const endings: Readonly<Record<string, string>> = {
    'an endless loop': 'while (true);',
    'an endless loop that catches everything': 'for (;;) try { while (true); } catch {} finally {}',
    'an endless loop in what it imports': "import './endless.ts'",
    'an endless loop behind an await': 'await 1\nwhile (true);',
    'an await that never settles': 'await new Promise(() => {})',
    // the listener is called while listeners return, as if a busy machine held up the main thread there
    'an await that never settles, on a busy machine':
      "process.on('newListener', () => { for (const end = Date.now() + 2000; Date.now() < end; ); })\nawait new Promise(() => {})",
  }
  it.each(Object.entries(endings))('is given up and named: %s', (_, text) => {
    const folder = definitionFiles({ 'features.ts': `${preamble}${text}\n`, 'endless.ts': 'while (true);\n' })
    const file = join(folder, 'features.ts')
    const program = `
        const { loadDefinitions } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../registry/load/load-definitions.ts'))})
        process.on('SIGTERM', () => {})
        await loadDefinitions(process.argv[1], { timeoutMs: 300 }).catch((e) => console.log(JSON.stringify({ code: e.code, message: e.message })))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, '--', file], {
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    const { code, message } = JSON.parse(output) as { code: string; message: string }
    expect([code, message]).toEqual(['DEFINITIONS_INVALID', expect.stringContaining('not finished after 0.3 s')])
    expect(message).toContain(`(${file})`)
  })
})

describe('a definitions file that never settles, on a machine that is busy for seconds', () => {
  const busy = 'for (const end = Date.now() + 4000; Date.now() < end; );'
  const moments = {
    'before its import begins': `process.on('SIGTERM', () => {})\nprocess.on('removeListener', () => { ${busy} })`,
    'as its import begins': `const { registerHooks } = await import('node:module')
      registerHooks({ resolve: (name, context, next) => { if (name.endsWith('features.ts')) ${busy}\nreturn next(name, context) } })`,
  }
  it.each(Object.entries(moments))('is given up: %s', (_, moment) => {
    const file = join(definitionFiles({ 'features.ts': 'await new Promise(() => {})\n' }), 'features.ts')
    const program = `
      const { importWithin } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../runtime/import-within.ts'))})
      ${moment}
      await importWithin(process.argv[1], 300).catch(() => console.log('given up'))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, '--', file], {
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
    })
    expect(output).toBe('given up\n')
  })
})

it('a definitions file that never settles is given up although its process was paused', async () => {
  const folder = definitionFiles({ 'features.ts': `${preamble}console.log('waits')\nawait new Promise(() => {})\n` })
  const load = async (timeoutMs: number): Promise<string> => {
    const program = `
      const { loadDefinitions } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../registry/load/load-definitions.ts'))})
      await loadDefinitions(process.argv[1], { timeoutMs: ${timeoutMs} }).catch((e) => console.log(e.code))`
    const args = ['--input-type=module', '-e', program, '--', join(folder, 'features.ts')]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (part: Buffer) => {
      if (out === '') {
        child.kill('SIGSTOP')
        // longer than the thread that watches the import waits
        setTimeout(() => child.kill('SIGCONT'), 2 * timeoutMs)
      }
      out += part.toString()
    })
    await new Promise((done) => child.on('close', done))
    return out
  }
  let [timeoutMs, out] = [2000, await load(2000)]
  // on a slow machine, the file may be given up before it runs
  while (out === 'DEFINITIONS_INVALID\n') out = await load((timeoutMs *= 2))
  expect(out).toBe('waits\nDEFINITIONS_INVALID\n')
})

it('a looping definitions file stops on a signal, and listeners work after a load', async () => {
  const folder = definitionFiles({ 'good.ts': preamble, 'endless.ts': "console.log('loops')\nwhile (true);\n" })
  const program = `
    const { loadDefinitions } = await import(${JSON.stringify(resolve(import.meta.dirname, '../../registry/load/load-definitions.ts'))})
    process.on('SIGTERM', () => {})
    const [good, endless] = process.argv.slice(1)
    await loadDefinitions(good)
    console.log(process.listenerCount('SIGTERM'))
    await loadDefinitions(endless)`
  const files = [join(folder, 'good.ts'), join(folder, 'endless.ts')]
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, '--', ...files], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (part: Buffer) => {
    out += part.toString()
    if (out.includes('loops')) child.kill('SIGTERM')
  })
  const signal = await new Promise((done) => child.on('close', (_, by) => done(by)))
  expect([out, signal]).toEqual(['1\nloops\n', 'SIGTERM'])
})

describe('a definitions file', () => {
  it('loads neither database drivers, bundler nor model runtime', () => {
    const entry = JSON.stringify(resolve(import.meta.dirname, '../../index.ts'))
    const program = `
      import { registerHooks } from 'node:module'
      const seen = []
      registerHooks({ resolve(specifier, context, next) { const found = next(specifier, context); seen.push(found.url); return found } })
      await import(${entry})
      console.log(JSON.stringify(seen))`
    const seen = JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })) as string[]
    expect(seen.length).toBeGreaterThan(10)
    for (const url of seen)
      expect(url).toMatch(/\/(index|kernel\/(?:[a-z]+\/)?[a-z0-9-]+|registry\/define\/[a-z-]+|runtime\/settings\/define-config)\.ts$/)
  })
})
