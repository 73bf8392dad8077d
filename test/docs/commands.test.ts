import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import { dayOf, predictionPartitions } from '../../monitoring/day-partitions.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import { loadConfig } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { LockstepCommand } from '../cli/one-process.ts'
import { commandsWith } from '../cli/one-process.ts'
import type { Environment, Running } from '../cli/run-lockstep.ts'
import { killAll, start, whenReady } from '../cli/run-lockstep.ts'
import { floats, makeOnnx } from '../inference/make-onnx.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { OwnS3 } from '../services/buckets.ts'
import { environmentMs, ownS3 } from '../services/buckets.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import type { Documented } from './documented.ts'
import { documentedCommands } from './documented.ts'
import { followPage } from './follow-page.ts'

// Every command that the docs show is run as it stands, over the definitions of docs/definitions.md and these rows.
// What a reader puts in its place
// (an id, a key, a folder) is put in its place here.

const payments = `card,paid_at,booked_at,amount,country
c1,2026-02-27T10:00:00Z,2026-02-27T10:00:00Z,20,CH
c1,2026-03-01T09:30:00Z,2026-03-01T09:30:00Z,450,CH
c1,2026-03-01T10:20:00Z,2026-03-01T10:20:00Z,515,DE
c2,2026-01-15T10:00:00Z,2026-01-15T10:00:00Z,70,FR
`
/** In the order in which a reader meets them: the last one makes keys, which all requests need from then on. */
const pages = [
  'training-sets',
  'jobs',
  'models',
  'catalog',
  'http',
  'oip',
  'feast',
  'push',
  'streams',
  'prediction-log',
  'outcomes',
  'model-statistics',
  'scale',
  'parity',
  'drift',
  'quality',
  'reports',
  'alerts',
  'watch-a-model',
  'erase',
  'object-storage',
  'parquet-sources',
  'batch',
  'engines',
  'how-do-i',
  'rollouts',
  'shadow',
  'experiments',
  'experiment-results',
  'remote',
  'pipelines',
  'traffic',
  'operating',
].map((name) => `docs/${name}.md`)

let env: Environment
let folder: string
let lockstep: LockstepCommand
let db: Database
let drop: () => Promise<void>
let server: Running
let s3: OwnS3
let url: string
/** The texts of pages that are replaced, and their replacements. */
const inPlace = new Map<string, string>()

const read = (page: string): string => readFileSync(join(rootFolder, page), 'utf8')
const put = (name: string, content: string | Uint8Array): Promise<void> => writeFile(join(folder, name), content)

/** Puts an object into the bucket of the page on object storage. */
async function store(name: string, content: string | Uint8Array): Promise<void> {
  const writer = await (await openObjectStore('s3://')).write(`s3://ml-data/${name}`, { overwrite: false })
  await writer.write(Buffer.from(content))
  await writer.seal()
  await writer.commit()
}

/** Answers what the page on models declares: `probabilities`, [N, 2], and `label`, [N], of five features. */
function fraudModel(weight: number): Buffer {
  return makeOnnx({
    graph: {
      inputs: [{ name: 'features', type: 'float', shape: ['N', 5] }],
      outputs: [
        { name: 'label', type: 'int64', shape: ['N'] },
        { name: 'probabilities', type: 'float', shape: ['N', 2] },
      ],
      initializers: [
        { name: 'weights', type: 'float', dims: [5, 2], raw: floats(0, weight, 0, 0, 0, 0.5, 0, 1, 0, 0) },
        { name: 'zero', type: 'float', dims: [], raw: floats(0) },
      ],
      nodes: [
        // a missing feature counts as zero
        { type: 'IsNaN', inputs: ['features'], outputs: ['missing'] },
        { type: 'Where', inputs: ['missing', 'zero', 'features'], outputs: ['filled'] },
        { type: 'MatMul', inputs: ['filled', 'weights'], outputs: ['scores'] },
        { type: 'Softmax', inputs: ['scores'], outputs: ['probabilities'], attributes: { axis: 1n } },
        { type: 'ArgMax', inputs: ['probabilities'], outputs: ['label'], attributes: { axis: 1n, keepdims: 0n } },
      ],
    },
  })
}

async function must(...words: readonly string[]): Promise<{ readonly id: string; readonly key: string }> {
  const { exitCode, out, err } = await lockstep(...words, '--json')
  expect(exitCode, `lockstep ${words.join(' ')}: ${err}`).toBe(0)
  return JSON.parse(out)
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-docs-'))
  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  drop = database.drop
  s3 = await ownS3('ml-data')
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_STREAM_REDIS_URL: redis.url,
    LOCKSTEP_DIR: join(folder, 'unused'),
    ...s3.settings,
  }
  db = openPostgres(database.url)
  lockstep = commandsWith(env, folder)
  const definitions = /```ts\n([^]*?)```/.exec(read('docs/definitions.md'))?.[1] ?? ''
  await put('features.ts', definitions.replace(`'lockstep'`, JSON.stringify(join(rootFolder, 'index.ts'))))
  await put('amounts.ts', 'export const isLarge = (amount: number): boolean => amount > 500\n')
  await put('payments.csv', payments)
  await put('march.csv', `${payments.split('\n')[0]}\nc4,2026-03-02T10:00:00Z,2026-03-02T10:00:00Z,20,CH\n`)
  await put('january.csv', `${payments.split('\n')[0]}\nc5,2026-01-05T10:00:00Z,2026-01-05T10:00:00Z,20,CH\n`)
  await put('model.onnx', fraudModel(1))
  const spine = {
    card: ['c1', 'c2'],
    paid_at: [new Date('2026-03-01T10:26:00Z'), new Date('2026-02-01T00:00:00Z')],
    amount: [50, 20],
    fraud: [true, false],
  }
  parquetWriteFile({ filename: join(folder, 'labels.parquet'), columnData: Object.entries(spine).map(([name, data]) => ({ name, data })) })
  execFileSync('git', ['init', '-q', folder], { stdio: 'ignore' })
  const commit = ['-c', 'user.name=a', '-c', 'user.email=a@localhost', 'commit', '-q', '--allow-empty', '-m', 'A first commit']
  execFileSync('git', ['-C', folder, ...commit], { stdio: 'ignore' })
  await db.script(`create table labels (card text, paid_at timestamptz, amount float8, fraud boolean);
    insert into labels values ('c1', '2026-03-01T10:26:00Z', 50, true), ('c2', '2026-02-01T00:00:00Z', 20, false)`)
  await must('migrate')
  await must('apply', 'features.ts')
  await must('ingest', 'payments', 'payments.csv')
  await must('materialize')
  server = start({ ...env, LOCKSTEP_LOG_PREDICTIONS: '1' }, 'serve', '--port', '0', '--json')
  url = (await server.until(/"url": "(http:[^"]+)"/))[1] ?? ''
  await whenReady(url)
  inPlace.set('http://localhost:8080', url)
  inPlace.set('/shared/train', join(folder, 'train'))
  inPlace.set('/etc/lockstep/tls', join(rootFolder, 'test/runtime/tls/first'))
  inPlace.set('{…}', JSON.stringify({ service: 'fraud_features', entities: [{ card: 'c1', amount: 50 }] }))
}, environmentMs)

afterAll(async () => {
  killAll()
  await db?.close()
  await drop?.()
  s3?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** The experiment of the page on results. */
const offers: ExperimentSpec = {
  name: 'offers',
  model: 'fraud',
  unit: 'card',
  variants: [
    { name: 'control', serves: 1, weight: 0.5 },
    { name: 'treatment', serves: 2, weight: 0.5 },
  ],
  layer: null,
  metrics: [
    {
      name: 'payments',
      role: 'primary',
      kind: 'mean',
      withinMicros: 3_600_000_000,
      winsorizeAt: null,
      per: 'unit',
      better: 'higher',
      margin: null,
      value: {
        of: {
          kind: 'source',
          source: {
            name: 'payments',
            relation: { kind: 'owned' },
            key: [{ part: 'card', column: 'card' }],
            eventTime: 'paid_at',
            known: 'booked_at',
            columns: [],
          },
          key: [{ name: 'card', type: { kind: 'string' } }],
        },
        aggregate: 'count',
        column: null,
      },
    },
  ],
  covariates: [],
  slices: [],
  analysis: { method: 'sequential', alpha: 0.05, correction: 'holm', units: null, prior: null },
}

/** The preparation that the commands of a page need. */
const before: Readonly<Record<string, () => Promise<unknown>>> = {
  async 'docs/models.md'() {
    for (const weight of [2, 3, 4, 5]) {
      await put('earlier.onnx', fraudModel(weight))
      await must('model', 'push', 'fraud', 'earlier.onnx')
    }
  },
  // a job that no worker takes before it is retried
  async 'docs/jobs.md'() {
    const [job] = await db.query<{ id: string }>(
      `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, chunks, submitted_by)
      select 'housekeeping', 'old records', store, '{}', 'running', false, false, false, 30, 1, 1, 'test' from lockstep.materialization_runs limit 1
      returning id`,
    )
    await db.query(
      `insert into lockstep.job_chunks (job, step, number, state, data, claimable_at)
      values ($1, 'chunk', 0, 'open', 'null', clock_timestamp() + interval '1 h')`,
      [job?.id],
    )
    inPlace.set('1207', String(job?.id))
  },
  async 'docs/experiments.md'() {
    const page = /```ts\n([^]*?)```/.exec(read('docs/experiments.md'))?.[1] ?? ''
    await put('experiments.ts', page.replace(`'lockstep'`, JSON.stringify(join(rootFolder, 'index.ts'))))
    for (const weight of [6, 7]) {
      await put('compared.onnx', fraudModel(weight))
      await must('model', 'push', 'fraud', 'compared.onnx')
    }
  },
  // servers write their log once a second
  async 'docs/parity.md'() {
    const logged = async () => (await db.query(`select from lockstep.prediction_log where model = 'fraud' limit 1`)).length
    await expect.poll(logged, { timeout: 60_000 }).toBe(1)
  },
  // the page is about versions that have a baseline
  'docs/drift.md': () => must('baseline', 'create', 'fraud', '--served', '24h'),
  async 'docs/object-storage.md'() {
    await store('april.csv', `${payments.split('\n')[0]}\nc4,2026-03-02T11:00:00Z,2026-03-02T11:00:00Z,20,CH\n`)
    await store('labels.parquet', await readFile(join(folder, 'labels.parquet')))
  },
  async 'docs/parquet-sources.md'() {
    const page = /```ts\n([^]*?)```/.exec(read('docs/parquet-sources.md'))?.[1] ?? ''
    await put('landings.ts', page.replace(`'lockstep'`, JSON.stringify(join(rootFolder, 'index.ts'))))
    const columnData = [
      { name: 'origin', data: ['ZRH', 'ZRH'] },
      { name: 'landed_at', data: [new Date('2026-03-01T10:00:00Z'), new Date('2026-03-01T11:00:00Z')] },
      { name: 'delay', data: [3.5, 4.5] },
    ]
    parquetWriteFile({ filename: join(folder, 'part-0.parquet'), columnData })
    await store('landings/day=2026-03-01/part-0.parquet', await readFile(join(folder, 'part-0.parquet')))
  },
  async 'docs/engines.md'() {
    // as Spark would have written it
    await mkdir(join(folder, 'spark-train'))
    await must(
      'dataset',
      'create',
      'fraud_features',
      '--spine',
      'labels.parquet',
      '--time',
      'paid_at',
      '--out',
      'spark-train/part-0.parquet',
    )
    await put('spark-train/_SUCCESS', '')
    const rows = payments
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(','))
    const column = (name: string, of: (row: readonly string[]) => unknown) => ({ name, data: rows.map(of) })
    const columnData = [
      column('card', ([card]) => card),
      column('paid_at', ([, at = '']) => new Date(at)),
      column('booked_at', ([, , at = '']) => new Date(at)),
      column('amount', ([, , , amount]) => Number(amount)),
      column('country', ([, , , , country]) => country),
    ]
    parquetWriteFile({ filename: join(folder, 'payments.parquet'), columnData })
  },
  'docs/watch-a-model.md': () => put('fraud.onnx', fraudModel(1)),
  'docs/streams.md': () =>
    db.query(`insert into lockstep.stream_dead_letters (id, source, stream, message, body, reason, error)
      overriding system value values (17, 'payments', 'payments', '1-0', '{}', 'INVALID_EVENT', 'The message lacks "card".')`),
  'docs/alerts.md': () =>
    db.query(
      `insert into lockstep.alerts (id, monitor, check_kind, subject, severity, state, started, about, started_with, result)
      overriding system value values (42, 'system:jobs', 'jobs', 'jobs', 'ticket', 'firing', 1772366400000000,
        '{"description": null, "runbook": null, "notify": []}', $1, $1)`,
      [JSON.stringify({ subject: 'jobs', state: 'breach', value: 900, threshold: 600, n: 1, evidence: null, cause: 'A job waits.' })],
    ),
  // a declared experiment with traffic to plan it by, and a run that has ended, so that it is not followed for ever
  async 'docs/experiment-results.md'() {
    const spec = JSON.stringify(offers)
    await db.query(
      `insert into lockstep.definitions (kind, name, version, fingerprint, spec, operational)
      values ('experiment', 'offers', 0, 'f', $1::text::json, '{"coverage": 1}')`,
      [spec],
    )
    await db.query(
      `insert into lockstep.experiments (name, model, spec, state, salt, coverage, variants, slices, started_by, stopped_by, stopped_at)
      values ('offers', 'fraud', $1::text::json, 'stopped', 's', 1, '{"control": 1, "treatment": 2}', '[]', 'test', 'test', now())`,
      [spec],
    )
    const at = Date.now() - 3 * 3_600_000
    await predictionPartitions.create(db, new Set([dayOf(at * 1000)]))
    await db.query(
      `insert into lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
        entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
      select to_timestamp($1), 'r' || i, 'r' || i, 0, 'fraud', 1, 'fraud_features@1', '', to_timestamp($1), '{}', json_build_object('card', 'p' || i),
        '{}', '{}', '{}', '[]', '{}', 1, false, false from generate_series(1, 200) i`,
      [at / 1000],
    )
    await db.query(
      `insert into lockstep_source.payments (card, paid_at, booked_at, amount, country)
      select 'p' || i, to_timestamp($1), to_timestamp($1), i, 'CH' from generate_series(1, 100) i`,
      [at / 1000 + 60],
    )
  },
  // a declared pipeline that no worker of this test has noticed
  async 'docs/pipelines.md'() {
    const stream = { kind: 'redis', stream: `${env['LOCKSTEP_REDIS_PREFIX']}paid`, field: 'data', group: 'lockstep_payments' }
    await db.query(
      `update lockstep.definitions set operational = operational::jsonb || $1::jsonb where kind = 'source' and name = 'payments'`,
      [JSON.stringify({ stream })],
    )
    const spec: PipelineSpec = {
      name: 'score_payments',
      source: 'payments',
      model: 'fraud',
      version: null,
      sink: { kind: 'kafka', stream: 'shop.scored' },
      entities: [{ field: 'card', column: 'card' }],
      key: ['card'],
      group: 'lockstep_pipeline_score_payments',
      ledger: false,
    }
    await db.query(
      `insert into lockstep.definitions (kind, name, version, fingerprint, spec, operational)
      values ('pipeline', 'score_payments', 0, 'f', $1::text::json, '{}')`,
      [JSON.stringify(spec)],
    )
  },
  async 'docs/operating.md'() {
    inPlace.set('$KEY', (await must('keys', 'create', '--name', 'operator', '--scope', 'admin')).key)
  },
}

function replaced(word: string): string {
  let text = word
  for (const [shown, here] of inPlace) text = text.replaceAll(shown, here)
  return text
}

async function run({ text, words: shown, env: settings }: Documented): Promise<void> {
  const words = shown.map(replaced)
  const name = words.slice(1, 3).join(' ')
  if (words[0] === 'curl') return await curl(words, text)
  if (words[1] === 'serve') return takesSettings(settings, words)
  if (words[1] === 'worker') return void start(env, 'worker')
  const answer = await must(...words.slice(1), ...(words[1] === 'erase' ? ['--yes'] : []))
  if (name === 'dataset create') inPlace.set('3f0c2a', answer.id)
  if (name === 'keys create') inPlace.set('lockstep_sk_…', answer.key)
}

/** Settings of the servers that the pages start. */
const ofServers = new Map<string, string>()

/** Reads the settings of a server. One server is started with those of all pages, as each start takes a second. */
function takesSettings(settings: Environment, words: readonly string[]): void {
  expect(words).toEqual(['lockstep', 'serve'])
  for (const [name, value] of Object.entries(settings)) ofServers.set(name, replaced(value))
  loadConfig({ ...env, ...settings })
}

async function curl(words: readonly string[], text: string): Promise<void> {
  const option = (name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
  const [header = '', value = ''] = (option('-H') ?? '').split(': ')
  const to = words.find((word) => word.startsWith('localhost:8080'))?.replace('localhost:8080', url) ?? ''
  const file = option('--data-binary')?.slice(1)
  const body = file === undefined ? option('-d') : await readFile(join(folder, file))
  const response = await fetch(to, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body === undefined ? {} : { body }),
    ...(header === '' ? {} : { headers: { [header]: value } }),
  })
  const answer = await response.text()
  expect(response.status, `${text}\n${answer}`).toBe(file === undefined ? (to.endsWith('/v1/datasets') ? 202 : 200) : 201)
  const upload = /"id":"([0-9a-f-]{36})"/.exec(answer)?.[1]
  if (file !== undefined && upload !== undefined) inPlace.set('6f1c52e0-9c3b-4c5e-8d0e-3f5a7b1c2d4e', upload)
  const token = /"token":"([^"]+)"/.exec(answer)?.[1]
  if (token !== undefined) inPlace.set('payments~0+5093', token)
  answers.set(text, answer)
}
const answers = new Map<string, string>()

describe('the commands of the docs', () => {
  it('are on pages that this test runs', () => {
    const all = globSync('docs/*.md', { cwd: rootFolder }).filter((page) => documentedCommands(page).length > 0)
    // training.test.ts follows docs/training.md, and forecasting.test.ts docs/forecasting.md; test/build.test.ts
    // installs the package and runs "init", as docs/your-own-project.md says; docs/tutorial.md has the one command of
    // docs/dev.md
    const elsewhere = ['cli', 'dev', 'forecasting', 'training', 'your-own-project'].map((page) => `docs/${page}.md`)
    expect(all.toSorted()).toEqual([...pages, ...elsewhere].toSorted())
    expect(documentedCommands('docs/dev.md').map(({ text }) => text)).toEqual(['lockstep dev'])
  })

  it.each(pages)('do what %s says', async (page) => {
    await before[page]?.()
    for (const command of documentedCommands(page)) await run(command)
  })

  it('start a server with the settings of all pages', async () => {
    expect(ofServers.size).toBeGreaterThan(3)
    ofServers.set('LOCKSTEP_GRPC_PORT', '0')
    const running = start({ ...env, ...Object.fromEntries(ofServers) }, 'serve', '--port', '0', '--json')
    await running.until(/"url": "https:[^"]+"/)
    running.child.kill('SIGTERM')
    expect((await running.ended).code).toBe(0)
  })

  it.each([
    ['"include": ["eventTimes"]', '{"service": "fraud_features", "version": 1', 'results'],
    [
      '"format": "columns"',
      '{"service": "fraud_features", "version": 1, "fingerprint": "03949e6d…", "asOf": "2026-03-01T10:26:00Z", "requestId": "f1e09dd4',
      'features',
    ],
    ['"include": ["features"]', '{"model": "fraud", "version": 5', 'features'],
  ])('answer what docs/http.md shows for %s', (asked, begins, member) => {
    const [answer = '{}'] = [...answers].filter(([text]) => text.includes(asked)).map(([, text]) => text)
    const page = read('docs/http.md')
    const shown = page.slice(page.indexOf(begins), page.indexOf('```', page.indexOf(begins)))
    const named = (json: string): unknown => (JSON.parse(json) as Record<string, unknown>)[member]
    expect(named(answer)).toEqual(named(shown))
  })
})

describe('the example of the README', () => {
  it('serve and predict, one command after the other', async () => {
    const own = await mkdtemp(join(folder, 'readme-'))
    const page = read('README.md')
    const block = (begins: string): string =>
      page.slice(page.indexOf(begins), page.indexOf('\n\n', page.indexOf(begins))).replaceAll(/^ {4}/gm, '')
    const [, definitions = ''] = /```ts\n([^]*?)```/.exec(page) ?? []
    await writeFile(join(own, 'features.ts'), definitions.replace(`'lockstep'`, JSON.stringify(join(rootFolder, 'index.ts'))))
    await writeFile(join(own, 'payments.csv'), `${block('    card,paid_at,amount')}\n`)
    await writeFile(join(own, 'labels.csv'), `${block('    card,at,fraud')}\n`)
    await writeFile(join(own, 'fraud.onnx'), sumModel)
    // docs/tutorial.md is followed with the embedded stores, and init and dev by test/first-project.test.ts
    const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
    const settings = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix }
    const answered = await followPage('README.md', own, settings, 'migrate')
    await database.drop()
    const [, rows = ''] = /```text\n(card,at[^]*?)```/.exec(page) ?? []
    expect((await readFile(join(own, 'train.csv'), 'utf8')).replaceAll('\r', '')).toBe(rows)
    expect(answered).toMatchObject([
      { results: [{ features: { paid1h: 1, meanAmount6h: 14 } }] },
      { model: 'fraud', predictions: [{ probabilities: 0 }] },
    ])
  })
})

/** The sum of two features, as `probabilities`, [N, 1]. */
const sumModel = makeOnnx({
  graph: {
    inputs: [{ name: 'features', type: 'float', shape: ['N', 2] }],
    outputs: [{ name: 'probabilities', type: 'float', shape: ['N', 1] }],
    initializers: [{ name: 'ones', type: 'float', dims: [2, 1], raw: floats(1, 1) }],
    nodes: [{ type: 'MatMul', inputs: ['features', 'ones'], outputs: ['probabilities'] }],
  },
})
