import { EventEmitter, once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { createTypeCheck, lacksCompiler } from '../../cli/dev/check-types.ts'
import { createDefinitionsLoader } from '../../cli/dev/definitions-loader.ts'
import { filesIn } from '../../cli/dev/project-files.ts'
import { startDev } from '../../cli/dev/start-dev.ts'
import { startServer } from '../../cli/start-server.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { loadConfig } from '../../runtime/config.ts'
import { constantModel } from '../inference/made-models.ts'
import { openServer } from '../opened-database.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { lockstep, must } from './lockstep.ts'
import { killAll, postJson, start } from './run-lockstep.ts'

const imports = `import { count, entity, featureService, featureView, last, mean, model, source, sum, t } from 'lockstep'`

/** The ids of the esbuild processes that this one has begun and that are still listed, also as zombies. Linux only. */
function bundlers(): string[] {
  if (!existsSync('/proc')) return []
  return readdirSync('/proc').filter((id) => new RegExp(`^${id} \\(esbuild\\) \\w ${process.pid} `).test(statOf(id)))
}

function statOf(id: string): string {
  try {
    return readFileSync(`/proc/${id}/stat`, 'utf8')
  } catch {
    return '' // it has ended meanwhile
  }
}

/** A definitions file; each part can be another one. */
function definitions({
  above = '',
  columns = 'delay: t.float64',
  derive = '',
  window = '1h',
  more = '',
}: Readonly<Partial<Record<'above' | 'columns' | 'derive' | 'window' | 'more', string>>> = {}): string {
  return `${imports}
${above}
const airport = entity('airport', { key: { airport: t.string }, description: 'EDIT' })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'landed_at', columns: { ${columns} } })
export const delays = featureView('delays', {
  version: 1, entity: airport, source: landings, online: true, ${derive}
  features: { landed: count('${window}'), mean6h: mean('delay', '6h', { default: 0 }), last: last('delay', { default: 0 }), ${more} },
})
export const flights = featureService('flights', { version: 1, features: [delays.pick('landed', 'mean6h', 'last')] })
export const all = featureService('all', { version: 1, features: [delays] })
export const delay = model('delay', { service: flights, output: { probabilities: t.float32 } })
`
}

const rows = 'airport,landed_at,delay\nATL,2026-03-01T08:10:00Z,25\nATL,2026-03-01T09:40:00Z,3\nORD,2026-03-01T09:55:00Z,0\n'
const oneRow = '{"airport":"ATL","landed_at":"2026-03-01T09:00:00Z","delay":7}\n'
const asOf = '2026-03-01T10:00:00Z'
/** Fields of answers, and those of definitions that an edit changes and that no value depends on. */
const ofOneRequest = new Set(['requestId', 'predictionIds'])
const entities = [{ airport: 'ATL' }, { airport: 'ORD' }, { airport: 'JFK' }]

interface Running {
  readonly url: string
  readonly example: unknown
  /** The steps that were reported. */
  readonly steps: readonly string[]
  /** The output since the last call, once it contains the text. */
  said(text: string): Promise<string>
  close(): Promise<void>
}

const contexts: Context[] = []

async function develop(folder: string): Promise<Running> {
  const heard = new EventEmitter()
  let text = ''
  const say = (line: string): void => {
    text += `${line}\n`
    heard.emit('said')
  }
  const directory = mkdtempSync(join(tmpdir(), 'lockstep-dev-'))
  const config = { ...loadConfig({ LOCKSTEP_DIR: join(directory, '.lockstep'), LOCKSTEP_LOG_LEVEL: 'silent' }) }
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  contexts.push(context)
  const startedMs = performance.now() - 10 * 3_600_000
  const steps: string[] = []
  const options = { port: 0, startedMs, say, onStep: (line: string) => void steps.push(line) }
  const { url, example } = await startDev(context, { folder, file: join(folder, 'features.ts') }, options)
  return {
    url,
    example,
    steps,
    async said(wanted) {
      while (!text.includes(wanted)) await once(heard, 'said')
      const found = text
      text = ''
      return found
    },
    async close() {
      await context.close()
      expect(existsSync(join(directory, '.lockstep'))).toBe(false)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** All that is served, without what is of one request. */
async function served(url: string, services: readonly string[] = ['flights', 'all']): Promise<unknown> {
  const answers = await Promise.all([
    ...services.map((service) => postJson(`${url}/v1/features`, { service, entities, asOf })),
    postJson(`${url}/v1/predict`, { model: 'delay', entities, asOf }),
  ])
  return JSON.parse(JSON.stringify(answers, (name, value: unknown) => (ofOneRequest.has(name) ? undefined : value)))
}

/**
 * The answers of an ordinary store for the same files, on PostgreSQL and Redis. `apply`, `ingest`, `model push` and
 * `materialize` make it, without the code of `dev`.
 */
async function servedByOrdinaryStore({ modelFits = true } = {}): Promise<unknown> {
  // a copy, because the process of the commands imports a path only once
  const copy = mkdtempSync(join(tmpdir(), 'lockstep-dev-copy-'))
  cpSync(folder, copy, { recursive: true })
  const [database, redis] = [await testDatabase(), await testRedis()]
  const env = {
    LOCKSTEP_DIR: join(copy, '.lockstep'),
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_LOG_LEVEL: 'silent',
  }
  await must(env, 'apply', join(copy, 'features.ts'))
  for (const file of readdirSync(join(copy, 'data'))) await must(env, 'ingest', 'landings', join(copy, 'data', file))
  const pushed = await lockstep(env, 'model', 'push', 'delay', join(copy, 'models/delay.onnx'))
  expect(pushed).toMatchObject(modelFits ? { code: 0 } : { code: 1, err: expect.stringContaining('MODEL_MISMATCH') as string })
  await must(env, 'materialize')
  const context = createContext(loadConfig(env), createTerminal(true), new AbortController().signal)
  contexts.push(context)
  try {
    const { server } = await startServer(context, {})
    const { url } = await server.listen('127.0.0.1', 0)
    await server.whenReady()
    return await served(url)
  } finally {
    await context.close()
    await database.drop()
    rmSync(copy, { recursive: true, force: true })
  }
}

let folder: string
let dev: Running
/** The answers before all edits of the files. */
let first: unknown

let edits = 0

/** Writes the definitions file. */
function write(text: string): void {
  const entry = JSON.stringify(join(rootFolder, 'index.ts'))
  writeFileSync(join(folder, 'features.ts'), text.replaceAll("'lockstep'", entry).replace('EDIT', `edit ${++edits}.`))
}

/** Writes the definitions file, waits until that very text is served, and returns what was said about it. */
async function edit(text: string): Promise<string> {
  write(text)
  return await dev.said(`→ "edit ${edits}."`)
}

beforeAll(async () => {
  folder = definitionFiles({ 'features.ts': definitions(), 'data/landings.csv': rows })
  mkdirSync(join(folder, 'models'))
  writeFileSync(join(folder, 'models/delay.onnx'), constantModel(0.25))
  dev = await develop(folder)
})

afterAll(async () => {
  killAll()
  await Promise.all(contexts.map((context) => context.close()))
})

describe('a project that is served while it is edited', () => {
  it('is ready with its rows and model, and with a request that is answered', async () => {
    const text = await dev.said('Ready in')
    expect(text).toContain('Ready in 10 h')
    expect(text).toContain('+ feature view delays@1')
    expect(text).toContain('landings: 3 rows from data/landings.csv')
    expect(text).toContain('delay: models/delay.onnx')
    expect(dev.steps).toEqual([
      'Making the store…',
      'Compiling features.ts…',
      'Loading 1 file of rows…',
      'Loading 1 model…',
      'Materializing 1 view…',
    ])
    expect(dev.example).toMatchObject({
      path: '/v1/predict',
      problem: null,
      body: { model: 'delay' },
    })
    const { status, body } = await postJson(`${dev.url}/v1/predict`, (dev.example as { body: unknown }).body)
    expect([status, body.predictions]).toEqual([200, [{ probabilities: 0.25 }]])
    first = await served(dev.url)
    expect(first).toEqual(await servedByOrdinaryStore())
  })

  it('a changed window, feature or derived column is served as by an ordinary store', async () => {
    const before = [...dev.steps]
    const changed = await edit(definitions({ window: '3h', more: "sum6h: sum('delay', '6h')" }))
    expect(changed).toMatch(/Updated in (?!10 h)[^]*landed\.window 1h → 3h/)
    expect(changed).toContain('+ sum6h')
    const more = "sum6h: sum('delay', '6h'), late6h: mean('late', '6h')"
    const derive = (limit: number): string =>
      `derive: { late: t.int32 }, transform: (row) => ({ late: (row.delay ?? 0) > ${limit} ? 1 : 0 }),`
    expect(await edit(definitions({ window: '3h', more, derive: derive(15) }))).toContain('+ late6h')
    expect(await edit(definitions({ window: '3h', more, derive: derive(2) }))).toContain('transform changed')
    expect(await served(dev.url)).toEqual(await servedByOrdinaryStore())
    // steps are of the start alone
    expect(dev.steps).toEqual(before)
    expect(await edit(definitions())).toContain('- late6h')
    expect(await served(dev.url)).toEqual(first)
  })

  it('a change of an imported module changes what is served', async () => {
    const derive = 'derive: { late: t.int32 }, transform: (row) => ({ late: late(row.delay) }),'
    const helper = (limit: number): string => `export const late = (delay: number | null): number => ((delay ?? 0) > ${limit} ? 1 : 0)\n`
    writeFileSync(join(folder, 'late.ts'), helper(100))
    await edit(definitions({ above: "import { late } from './late.ts'", derive, more: "late6h: sum('late', '6h')" }))
    const before = await served(dev.url, ['all'])
    writeFileSync(join(folder, 'late.ts'), helper(1))
    expect(await dev.said('Updated in')).toContain('transform changed')
    const after = await served(dev.url, ['all'])
    expect(after).not.toEqual(before)
  })

  it('rows that are added or replaced are served as by an ordinary store', async () => {
    await edit(definitions())
    writeFileSync(join(folder, 'data/landings.csv'), `${rows}JFK,2026-03-01T09:57:00Z,70\n`)
    expect(await dev.said('Updated in')).toContain('landings: 4 rows')
    expect(JSON.stringify(await served(dev.url))).toContain('"last":70')
    rmSync(join(folder, 'data/landings.csv'))
    expect(await dev.said('landings: none')).toContain('The source "landings" has no rows')
    const event = oneRow.replace('}', ',"_event_id":"e1"}')
    writeFileSync(join(folder, 'data/landings.jsonl'), `${event}${event}`)
    expect(await dev.said('landings: 1 row')).toContain('data/landings.jsonl')
    expect(await served(dev.url)).toEqual(await servedByOrdinaryStore())
  })

  it('a model file that is replaced or removed changes what is served', async () => {
    writeFileSync(join(folder, 'models/delay.onnx'), constantModel(0.75))
    await dev.said('delay: models/delay.onnx')
    expect(JSON.stringify(await served(dev.url))).toContain('0.75')
    rmSync(join(folder, 'models/delay.onnx'))
    await dev.said('not served, because its file is gone')
    expect(JSON.stringify(await served(dev.url))).toContain('has no version yet')
    writeFileSync(join(folder, 'models/delay.onnx'), constantModel(0.5))
    await dev.said('delay: models/delay.onnx')
  })

  it.each<[string, () => void, RegExp, 'repaired'?]>([
    [
      'with a bad row',
      () => writeFileSync(join(folder, 'data/landings.jsonl'), '{"airport":"ATL","landed_at":"never","delay":7}\n'),
      /INVALID_ROW: Row 1 of "data\/landings\.jsonl"/,
      'repaired',
    ],
    ['that does not parse', () => write(`${definitions()}\nexport const = 3\n`), /features\.ts" does not parse at line 13/, 'repaired'],
    ['that throws', () => write(definitions({ more: "x: last('dely')" })), /UNKNOWN_COLUMN: .*Did you mean "delay"\?.*\(features\.ts:7\)/],
    [
      'whose transform fails',
      () => write(definitions({ derive: 'derive: { late: t.int32 }, transform: (row) => ({ late: row.delay.x }),' })),
      /TRANSFORM_FAILED: .*delays/,
      'repaired',
    ],
    [
      'that lacks a column of its source',
      () => write(definitions({ columns: 'delay: t.float64, gate: t.string', more: "gate: last('gate')" })),
      /COLUMNS_MISMATCH: .*lacks "gate"/,
      'repaired',
    ],
  ])('a file %s is refused with its place, and the previous version is served', async (_, spoil, error, repaired) => {
    const before = await served(dev.url)
    spoil()
    expect(await dev.said('The previous version is still served')).toMatch(error)
    expect(await served(dev.url)).toEqual(before)
    if (repaired === undefined) return // the next bad file is in its place
    writeFileSync(join(folder, 'data/landings.jsonl'), oneRow)
    await edit(definitions())
  })

  it('a link of rows that leads nowhere counts as no file', () => {
    symlinkSync('round.csv', join(folder, 'data/round.csv'))
    expect(filesIn(join(folder, 'data'), ['.csv', '.jsonl']).map(({ name }) => name)).toEqual(['landings'])
    rmSync(join(folder, 'data/round.csv'))
  })

  it('a new column that the rows have is served', async () => {
    writeFileSync(join(folder, 'data/landings.jsonl'), '{"airport":"ATL","landed_at":"2026-03-01T09:00:00Z","delay":7,"gate":"B4"}\n')
    await edit(definitions({ columns: 'delay: t.float64, gate: t.string', more: "gate: last('gate')" }))
    expect(JSON.stringify(await served(dev.url))).toContain('"gate":"B4"')
  })

  it('a removed service is not served, and a model that no longer fits is reported', async () => {
    writeFileSync(join(folder, 'data/landings.jsonl'), oneRow)
    const text = await edit(
      definitions()
        .replace(/^export const all .*$/m, '')
        .replace("'mean6h', 'last'", "'mean6h'"),
    )
    expect(text).toContain('- feature service all@1')
    expect(text).toMatch(/MODEL_MISMATCH: .*2 numeric features/)
    expect(await served(dev.url)).toEqual(await servedByOrdinaryStore({ modelFits: false }))
  })

  it('closing leaves nothing behind', async () => {
    await dev.close()
  })
})

describe('a definitions file', () => {
  it.each([
    ['that does not end is stopped', 'for (;;) {}', 300, /has not finished after 0\.3 s; remove the endless loop/],
    ['that ends its process ends only its thread', 'process.exit(3)', 60_000, /ended its thread with 3; remove the call/],
  ])('%s', async (_, text, timeoutMs, message) => {
    const file = join(definitionFiles({ 'features.ts': text }), 'features.ts')
    const loader = createDefinitionsLoader(file, { timeoutMs })
    try {
      expect((await loader.load()).error?.message).toMatch(message)
    } finally {
      await loader.close()
    }
  })

  it('leaves no process of the bundler behind', async () => {
    const file = join(
      definitionFiles({ 'features.ts': definitions({ derive: `derive: { late: t.int32 }, transform: () => ({ late: 1 }),` }) }),
      'features.ts',
    )
    const loader = createDefinitionsLoader(file)
    const before = bundlers()
    try {
      for (let load = 0; load < 2; load++) expect((await loader.load()).error).toBeNull()
      await expect.poll(() => bundlers().filter((id) => !before.includes(id))).toEqual([])
    } finally {
      await loader.close()
    }
  })

  it('is reported if its thread does not start', async () => {
    const loader = createDefinitionsLoader(join(definitionFiles({ 'features.ts': '' }), 'features.ts'), { startMs: 1 })
    try {
      expect((await loader.load()).error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('has not started') as string })
    } finally {
      await loader.close()
    }
  })

  it('has its full time, however long its thread takes to start', async () => {
    const file = join(definitionFiles({ 'features.ts': 'export const nothing = 1' }), 'features.ts')
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    const loader = createDefinitionsLoader(file)
    try {
      const loading = loader.load()
      // the thread has its task, but this one has not heard from it
      await Promise.resolve()
      vi.advanceTimersByTime(60_000)
      expect((await loading).error?.code).toBe('DEFINITIONS_EMPTY')
    } finally {
      vi.useRealTimers()
      await loader.close()
    }
  })
})

describe('a check of the types', () => {
  it('names the errors by file and line, and says when they are gone', async () => {
    const place = definitionFiles({
      'a.ts': '\nconst wrong: number = "x"\nexport {}\n',
      'tsconfig.json': '{ "files": ["a.ts"], "compilerOptions": { "lib": ["es5"] } }',
    })
    expect(lacksCompiler(place)).toBe(true)
    mkdirSync(join(place, 'node_modules'))
    symlinkSync(join(rootFolder, 'node_modules/typescript'), join(place, 'node_modules/typescript'))
    expect(lacksCompiler(place)).toBe(false)
    const heard = new EventEmitter()
    const types = createTypeCheck(place, (text) => heard.emit('said', text))
    types.begin()
    expect(await once(heard, 'said')).toEqual([`type error a.ts:2: TS2322: Type 'string' is not assignable to type 'number'.`])
    writeFileSync(join(place, 'a.ts'), 'export {}\n')
    types.begin()
    expect(await once(heard, 'said')).toEqual(['The types are right again.'])
    await types.close()
  })
})

describe('the command', () => {
  it('serves what a store of the same files serves, and ends with nothing left', async () => {
    const place = definitionFiles({ 'features.ts': definitions(), 'data/landings.csv': rows })
    mkdirSync(join(place, 'models'))
    writeFileSync(join(place, 'models/delay.onnx'), constantModel(0.25))
    const env = { LOCKSTEP_DIR: join(place, '.lockstep'), LOCKSTEP_POSTGRES_URL: 'postgres://nobody@127.0.0.1:1/none' }
    // what a killed process left
    mkdirSync(join(place, '.lockstep/dev/postgres'), { recursive: true })
    writeFileSync(join(place, '.lockstep/dev/postgres/unfinished'), '')
    writeFileSync(join(place, '.lockstep/dev/development-store'), '')
    const running = start(env, 'dev', join(place, 'features.ts'), '--port', '0')
    const [, url = ''] = await running.until(/API +(http:\S+)/)
    expect((await lockstep(env, 'dev', join(place, 'features.ts'), '--port', '0')).err).toMatch(
      /EMBEDDED_IN_USE: Another "lockstep dev" runs in this project \(process \d+\)/,
    )
    expect(await served(url)).toEqual(first)
    // a file for the server, in the store too
    expect((await fetch(`${url}/v1/uploads`, { method: 'POST', body: 'abc' })).status).toBe(201)
    running.child.kill('SIGINT')
    expect((await running.ended).code).toBe(0)
    expect(existsSync(join(place, '.lockstep'))).toBe(false)
  })

  const endless = `import { writeSync } from 'node:fs'\nwriteSync(1, 'loading')\nfor (;;) {}\n`

  it.each<[string, string, readonly string[], RegExp, RegExp]>([
    // late, the signal ends the load
    ['while it makes its store', endless, [], /development store in/, /development store in/],
    // it prints each long step of the start when it begins
    ['while it loads the definitions', endless, [], /loading/, /Making the store…\nCompiling features\.ts…\nloading$/],
    ['while it loads the definitions, and prints no steps with --json', endless, ['--json'], /loading/, /^loading$/],
  ])('ends %s, with the exit code of the signal and nothing left', async (_, text, options, awaited, printed) => {
    const place = definitionFiles({ 'features.ts': text, 'data/landings.csv': rows })
    const running = start({ LOCKSTEP_DIR: join(place, '.lockstep') }, 'dev', join(place, 'features.ts'), '--port', '0', ...options)
    await running.until(awaited)
    running.child.kill('SIGTERM')
    const { code, out, err } = await running.ended
    expect(code).toBe(143)
    if (options.length === 0) expect(err).toBe('error STOPPED: Stopped by SIGTERM before it was done.\n')
    else {
      expect(err).toContain('STOPPED')
      expect(err).not.toContain('…')
    }
    expect(out).toMatch(printed)
    expect(out).not.toMatch(/Watching|has not finished/)
    expect(existsSync(join(place, '.lockstep'))).toBe(false)
  })

  it('keeps files of others in the folder that its store would have', async () => {
    const place = definitionFiles({ 'features.ts': definitions(), 'dev/notes.md': 'mine' })
    const { err } = await lockstep({ LOCKSTEP_DIR: place }, 'dev', join(place, 'features.ts'), '--port', '0')
    expect(err).toMatch(/CONFIG_INVALID: The folder ".*\/dev" is no development store: it has "notes\.md"/)
    expect(readdirSync(join(place, 'dev'))).toEqual(['notes.md'])
  })

  it('a store that is no development store keeps its versions', async () => {
    const place = definitionFiles({ 'features.ts': definitions() })
    const set = await loadDefinitions(join(place, 'features.ts'))
    const { db, close } = await openServer()
    try {
      await expect(applyChanges(db, set, { replace: true })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    } finally {
      await close()
    }
  })
})
