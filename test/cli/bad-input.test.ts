import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sequenceModel } from '../inference/made-models.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { onnx } from '../serving/fixtures.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Ended, Environment } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const head = `import { entity, featureService, featureView, last, model, mean, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
`
const view = (features: string, fields = '') =>
  `export const delays = featureView('delays', { version: 1, entity: airport, source: landings, online: true, features: { ${features} }, ${fields} })\n`
const service = `export const all = featureService('all', { version: 1, features: [delays] })
export const delay = model('delay', { service: all, output: { probabilities: t.float32 } })
`

const files: Readonly<Record<string, string>> = {
  'good.ts': head + view("last: last('delay'), mean6h: mean('delay', '6h')") + service,
  'changed.ts': head + view("last: last('delay'), mean6h: mean('delay', '12h')") + service,
  'syntax.ts': `${head}export const x = (`,
  'empty.ts': head,
  'twice.ts': `${head}export const a = entity('twice', { key: { id: t.string } })\nexport const b = entity('twice', { key: { id: t.int64 } })\n`,
  'duration.ts': head + view("mean6h: mean('delay', '6 hours')"),
  'clock.ts': head + view("last: last('now')", 'derive: { now: t.float64 }, transform: () => ({ now: Date.now() })'),
}

let env: Environment
let folder: string
let defined: string
let drop: () => Promise<void>
const inFolder = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-bad-'))
  defined = definitionFiles(files)
  const [database, redis] = [await testDatabase(), await testRedis()]
  drop = database.drop
  env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix }
  await must(env, 'apply', join(defined, 'good.ts'))
  await writeFile(inFolder('rows.csv'), 'airport,at,delay\nATL,2001-01-01T00:00:00Z,5\nORD,2001-01-01T01:00:00Z,7\n')
  await writeFile(inFolder('wrong.csv'), 'airport,at,delay\nATL,2001-01-01T00:00:00Z,5\nORD,2001-01-01T01:00:00Z,late\n')
  await writeFile(inFolder('keyless.csv'), 'at,late\n2001-01-01T00:00:00Z,1\n')
  await writeFile(inFolder('timeless.csv'), 'airport,late\nATL,1\n')
  await writeFile(inFolder('sequence.onnx'), sequenceModel())
  await writeFile(inFolder('mlp.onnx'), await onnx('mlp'))
  await writeFile(inFolder('noise.onnx'), 'not a model')
})

afterAll(async () => {
  killAll()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

/** The error that a command line ends with. */
async function failure(words: readonly string[], environment: Environment = env) {
  return failureOf(await lockstep(environment, ...words, '--json'))
}

function failureOf({ code, err, out }: Ended) {
  expect([out, code]).toEqual(['', code === 2 ? 2 : 1])
  const { error } = JSON.parse(err)
  return error as { readonly code: string; readonly message: string }
}

describe('a definitions file', () => {
  it.each([
    ['syntax.ts', 'DEFINITIONS_INVALID', 'syntax.ts'],
    ['empty.ts', 'DEFINITIONS_EMPTY', 'empty.ts'],
    ['twice.ts', 'DUPLICATE_NAME', '"twice"'],
    ['duration.ts', 'INVALID_DURATION', '"6 hours"'],
    ['clock.ts', 'TRANSFORM_IMPURE', 'Date.now'],
    ['changed.ts', 'VERSION_CHANGED', '"delays@1"'],
  ])('%s is refused with %s', async (file, code, offender) => {
    const error = await failure(['apply', join(defined, file)])
    expect(error).toMatchObject({ code, message: expect.stringContaining(offender) })
  })
})

it('a refused definitions file leaves the registry unchanged', async () => {
  const { code, out } = await lockstep(env, '--json', 'plan', join(defined, 'good.ts'))
  expect(code).toBe(0)
  const plan: { revision: number; changes: { status: string }[] } = JSON.parse(out)
  expect(plan.revision).toBe(1)
  expect(new Set(plan.changes.map(({ status }) => status))).toEqual(new Set(['unchanged']))
})

describe('data that do not fit', () => {
  it('are refused together, with the bad row', async () => {
    const error = await failure(['ingest', 'landings', inFolder('wrong.csv')])
    expect(error.code).toBe('INVALID_ROW')
    expect(error.message).toMatch(/"late"/)
    expect((await must(env, 'ingest', 'landings', inFolder('rows.csv'))).rows).toBe(2)
    expect((await must(env, 'materialize')).views).toMatchObject([{ view: 'delays@1', rows: 2, entities: 2 }])
  })

  it('are not loaded twice by mistake, and a load can be undone', async () => {
    expect(await failure(['ingest', 'landings', inFolder('rows.csv')])).toMatchObject({
      code: 'ALREADY_INGESTED',
      message: expect.stringContaining('(load 1, 2 rows)'),
    })
    expect(await must(env, 'ingest', 'landings', inFolder('rows.csv'), '--again')).toMatchObject({ id: '2', rows: 2 })
    expect((await failure(['ingest', 'undo', '2'])).message).toMatch(/^Delete 2 rows of "landings" that the load 2 wrote\? /)
    const undone = await lockstep(env, 'ingest', 'undo', '2', '--yes')
    expect(undone.out).toBe('Deleted 2 rows of "landings".\nRebuilt 2 entities of delays@1.\n')
    expect((await lockstep(env, 'ingest', 'list')).out).toMatch(/^ *2 +landings +2 .* undone .*rows\.csv\n *1 +landings +2 .* loaded /m)
    const newest = await lockstep(env, 'ingest', 'list', '--source', 'landings', '--limit', '1')
    expect(newest.out).toMatch(/^.*\n *2 +landings .*\nnote: there are older ones; --limit lists more\n$/)
    expect((await failure(['ingest', 'list', '--source', 'landing'])).message).toContain('Did you mean "landings"?')
  })

  it('are not erased without --yes if there is no terminal', async () => {
    const { code, err } = await lockstep(env, 'erase', 'airport', 'ORD')
    expect([code, err]).toEqual([2, expect.stringMatching(/Erase airport ORD permanently\?.*--yes/)])
  })

  it('are reported when an erased key has no rows', async () => {
    const note = /note: no source has a row with this key/
    const erase = async (key: string) => (await lockstep(env, 'erase', 'airport', key, '--yes')).out
    expect(await erase('nowhere')).toMatch(note)
    const known = await erase('ORD')
    expect(known).toMatch(/removed: 1 row in .*\nremoved: 1 state in delays@1 \(if there was one/)
    expect(known).not.toMatch(note)
  })

  it('are refused as a spine without the key or the time, and leave no file', async () => {
    const out = inFolder('set.parquet')
    const keyless = await failure(['dataset', 'create', 'all', '--spine', inFolder('keyless.csv'), '--out', out, '--time', 'at'])
    expect(keyless).toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('"airport"') })
    const timeless = await failure(['dataset', 'create', 'all', '--spine', inFolder('timeless.csv'), '--out', out, '--time', 'at'])
    expect(timeless).toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('"at"') })
    expect((await readdir(folder)).filter((name) => name.startsWith('set.'))).toEqual([])
  })

  it.each([
    ['noise.onnx', 'MODEL_INVALID', 'noise.onnx"'],
    ['sequence.onnx', 'MODEL_INVALID', 'is a sequence'],
    ['mlp.onnx', 'MODEL_MISMATCH', ''],
  ])('are refused as the model %s with %s', async (file, code, offender) => {
    const error = await failure(['model', 'push', 'delay', inFolder(file)])
    expect(error).toMatchObject({ code, message: expect.stringContaining(offender) })
    expect((await must(env, 'model', 'list')).versions).toEqual([])
  })
})

// that it is reported within five seconds, unavailable-alone.test.ts measures
describe('a service that is down', () => {
  it('lets the server start, not ready', async () => {
    const server = start({ ...env, LOCKSTEP_POSTGRES_URL: 'postgres://root@127.0.0.1:1/none' }, 'serve', '--port', '0')
    const [, url = ''] = await server.until(/Listening on (http:\/\/[^\s]+\d)/)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    expect((await fetch(`${url}/livez`)).status).toBe(200)
    server.child.kill('SIGTERM')
    expect((await server.ended).code).toBe(0)
  })
})

describe('the command line', () => {
  it('reports a port that is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    expect(failureOf(await start(env, 'serve', '--port', String(port), '--json').ended)).toMatchObject({
      code: 'PORT_IN_USE',
      message: `The port "${port}" on "127.0.0.1" is in use by another process. Stop that process, or set --port or LOCKSTEP_PORT to a free port.`,
    })
    await new Promise((resolve) => taken.close(resolve))
  })

  it('takes --json before a command, and its help', async () => {
    const help = await lockstep(env, '--json', '--help')
    const one = await lockstep(env, '--json', 'help', 'plan')
    const none = await lockstep(env, '--json', 'pan')
    expect([help.code, one.code, none.code]).toEqual([0, 0, 2])
    expect([help.out, one.out, none.err]).toEqual(
      ['lockstep COMMAND', 'lockstep plan', 'Did you mean'].map((text) => expect.stringContaining(text) as string),
    )
  })

  it('exits with 2 and one line for wrong usage', async () => {
    const { code, err, out } = await lockstep(env, 'plan', 'features.ts', '--prun')
    expect([code, out]).toEqual([2, ''])
    expect(err).toBe('error USAGE: There is no option "--prun". Did you mean "--prune"? See "lockstep plan --help".\n')
  })

  it('refuses invalid settings', async () => {
    expect(await failure(['status'], { LOCKSTEP_POSTGRESS_URL: 'x' })).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('"LOCKSTEP_POSTGRESS_URL"'),
    })
  })
})
