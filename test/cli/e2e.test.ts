import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { airportsFile, writeSampleFlights } from '../examples/sample-flights.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, postJson, start, whenReady } from './run-lockstep.ts'

const example = join(rootFolder, 'examples/flights')
const features = join(example, 'features.ts')
const asOf = '2001-01-15T00:00:00Z'
const flight = { origin: 'ORD', destination: 'LAX', distance: 1744 }

let env: Environment
let folder: string
let drop: () => Promise<void>
let flights: number
const inFolder = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-e2e-'))
  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  drop = database.drop
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_DIR: inFolder('unused'),
  }
  flights = await writeSampleFlights(inFolder('flights.parquet'), Date.UTC(2001, 0, 15, 6) * 1000)
})

afterAll(async () => {
  killAll()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

/** The rows of a file. */
async function rowsOf(path: string): Promise<Record<string, unknown>[]> {
  const file = await openTabularFile(path)
  const rows: Record<string, unknown>[] = []
  for await (const batch of file.batches(file.columns.map(({ name }) => name))) {
    for (let i = 0; i < batch.rows; i++) rows.push(Object.fromEntries(file.columns.map(({ name }, c) => [name, batch.columns[c]?.[i]])))
  }
  return rows
}

// The steps build on one another, as a person takes them.
describe('the complete path', () => {
  it('reports that the database is not migrated, and migrates it once', async () => {
    const before = await start(env, 'status').ended
    const [version, help] = [await lockstep(env, '-v'), await lockstep(env, 'status', '-h')]
    expect(version.out).toMatch(/^\d+\.\d+\.\d+/)
    expect(help.out).toMatch(/^Usage: lockstep status/)
    expect(before.code).toBe(1)
    const database = new URL(env['LOCKSTEP_POSTGRES_URL'] ?? '').pathname.slice(1)
    expect(before.err).toMatch(new RegExp(`^error MIGRATIONS_PENDING: The database "${database}" at ".+" lacks .*"lockstep migrate"`))
    const both = await Promise.all([lockstep(env, 'migrate', '--json'), lockstep(env, 'migrate', '--json')])
    expect(both.map(({ code }) => code)).toEqual([0, 0])
    expect(both.filter(({ json }) => json.migrations.length > 0)).toHaveLength(1)
    expect((await lockstep(env, 'migrate')).out).toMatch(new RegExp(`^The database "${database}" at ".+" is up to date\\.\\n$`))
  })

  it('plans what apply would refuse, then what it does', async () => {
    const refused = await lockstep(env, 'plan', features, '--json')
    expect(refused.code).toBe(1)
    expect(refused.json.problems.map((problem) => problem.code)).toContain('SOURCE_MISSING')
    expect((await lockstep(env, 'apply', features)).code).toBe(1)

    const db = openPostgres(env['LOCKSTEP_POSTGRES_URL'] ?? '')
    await db.script(await readFile(join(example, 'schema.sql'), 'utf8'))
    await db.close()
    const plan = await lockstep(env, 'plan', features)
    expect(plan).toMatchObject({ code: 0 })
    expect(plan.out).toContain('+ feature view airport_delays@1')
    expect(plan.out).toContain('> materialize airport_delays@1')
    expect((await must(env, 'status')).views).toEqual([])

    expect(await must(env, 'apply', features)).toMatchObject({ changed: true, revision: 1 })
    expect(await must(env, 'apply', features)).toMatchObject({ changed: false, revision: 1 })
    expect((await lockstep(env, 'plan', features)).out).toContain('There is nothing to do.')
  })

  it('ingests the flights and the airports', async () => {
    expect(await must(env, 'ingest', 'departures', inFolder('flights.parquet'))).toMatchObject({ source: 'departures', rows: flights })
    expect((await must(env, 'ingest', 'airports', airportsFile)).rows).toBe(3376)
  })

  it('writes a training set with a manifest, which the registry remembers', async () => {
    const spine = 'select date, origin, destination, distance, delay > 15 as late from flights where _row % 20 = 0'
    const words = ['dataset', 'create', 'flight_features', '--spine', spine, '--out', inFolder('training.parquet')]
    const leak = await lockstep(env, ...words)
    expect(leak.code).toBe(1)
    expect(leak.err).toContain('error LABEL_LEAK')
    const manifest = await must(env, ...words, '--as-of', 'before')
    expect(manifest.file.rows).toBe(Math.floor(flights / 20))
    expect((await rowsOf(inFolder('training.parquet'))).length).toBe(manifest.file.rows)
    const beside = JSON.parse(await readFile(inFolder('training.parquet.manifest.json'), 'utf8'))
    expect(await must(env, 'dataset', 'show', manifest.id.slice(0, 8))).toEqual(beside)
    expect((await must(env, 'dataset', 'list')).datasets.map(({ id }) => id)).toEqual([manifest.id])
    const again = await lockstep(env, ...words, '--as-of', 'before')
    expect(again.err).toMatch(/^error FILE_EXISTS/)
    expect(await must(env, 'dataset', 'verify', manifest.id)).toMatchObject({ equal: true, files: [{ state: 'same' }], differences: [] })
    await rename(inFolder('training.parquet'), inFolder('moved.parquet'))
    const verdict = await lockstep(env, 'dataset', 'verify', manifest.id)
    expect(verdict.code).toBe(1)
    expect(verdict.out).toContain('training.parquet" does not exist any more.\nIt can be recreated')
    await rename(inFolder('moved.parquet'), inFolder('training.parquet'))
  })

  it('materializes each row once, though two run at the same time', async () => {
    const both = await Promise.all([must(env, 'materialize', '--to', asOf), must(env, 'materialize', 'airport_delays', '--to', asOf)])
    const rows = both.flatMap(({ views }) => views).filter(({ view }) => view === 'airport_delays@1')
    expect(rows.reduce((sum, each) => sum + each.rows, 0)).toBeGreaterThanOrEqual(flights)
    const third = await must(env, 'materialize', '--to', asOf)
    expect(third.views.map((each) => each.rows)).toEqual([0, 0, 0])
    const { views } = await must(env, 'status')
    expect(views.map((view) => [view.online, view.lastRun.moment])).toEqual([1, 2, 3].map(() => [true, asOf]))
  })

  it('stores a model once, and predicts over a spine', async () => {
    const push = ['model', 'push', 'delay', join(example, 'delay.onnx'), '--metadata', '{"by":"e2e"}']
    expect(await must(env, ...push)).toMatchObject({ model: 'delay', version: 1, created: true, metadata: { by: 'e2e' } })
    expect(await must(env, ...push)).toMatchObject({ version: 1, created: false })
    expect((await must(env, 'model', 'list', 'delay')).versions).toHaveLength(1)

    await writeFile(
      inFolder('spine.csv'),
      `date,origin,destination,distance\n${asOf},ORD,LAX,1744\n${asOf},ATL,DFW,731\n${asOf},XXX,LAX,1\n`,
    )
    const done = await must(
      env,
      'predict',
      'delay',
      '--spine',
      inFolder('spine.csv'),
      '--time',
      'date',
      '--out',
      inFolder('predictions.csv'),
    )
    expect(done).toMatchObject({ model: 'delay', version: 1, rows: 3, refused: 0 })
    const probabilities = (await rowsOf(inFolder('predictions.csv'))).map(({ probability }) => Number(probability))
    for (const probability of probabilities) expect(probability).toBeGreaterThan(0)
    for (const probability of probabilities) expect(probability).toBeLessThan(1)
  })

  it('serves the values of training exports and batch predictions, also after a kill', async () => {
    await must(
      env,
      'dataset',
      'create',
      'flight_features',
      '--spine',
      inFolder('spine.csv'),
      '--time',
      'date',
      '--out',
      inFolder('moment.parquet'),
    )
    const [trained] = await rowsOf(inFolder('moment.parquet'))
    const [predicted] = await rowsOf(inFolder('predictions.csv'))
    const request = { model: 'delay', entities: [flight], include: ['features'] }

    const first = start(env, 'serve', '--port', '0', '--as-of', asOf)
    const [, firstUrl = ''] = await first.until(/Listening on (http:\S+),/)
    await whenReady(firstUrl)
    const answer = await postJson(`${firstUrl}/v1/predict`, request)
    expect(answer).toMatchObject({ status: 200, body: { model: 'delay', version: 1, asOf } })
    for (const [name, value] of Object.entries(answer.body.features[0] ?? {}))
      expect([name, value]).toEqual([name, trained?.[name] ?? null])
    expect(Math.fround(answer.body.predictions[0]?.probability ?? Number.NaN)).toBe(Math.fround(Number(predicted?.['probability'])))
    first.child.kill('SIGKILL')
    expect((await first.ended).code).toBeNull()

    const second = start(env, 'serve', '--port', '0', '--as-of', asOf, '--json')
    const [, secondUrl = ''] = await second.until(/"url": "(http:[^"]+)"/)
    await whenReady(secondUrl)
    const { body } = await postJson(`${secondUrl}/v1/predict`, request)
    expect(body.features).toEqual(answer.body.features)
    expect(body.predictions).toEqual(answer.body.predictions)
    expect(await (await fetch(`${secondUrl}/v1/models`)).json()).toMatchObject({ models: [{ model: 'delay', version: 1 }] })
    second.child.kill('SIGTERM')
    const { code, json } = await second.ended
    expect(code).toBe(0)
    expect(json).toMatchObject({ url: secondUrl, asOf })
  })
})
