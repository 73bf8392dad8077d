import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { constantModel, splitModel } from '../inference/made-models.ts'
import { sourceFilesAnswer } from '../../serving/protocols/http/data/source-files-route.ts'
import { statusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { until } from '../serving/gate.ts'
import { copyEmbedded } from '../services/embedded-template.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start, whenReady } from './run-lockstep.ts'

const features = (
  threshold: number,
  ttl: string,
) => `import { count, entity, featureService, featureView, last, model, parquetFiles, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const flights = source('flights', { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64, note: t.string } })
export const delays = featureView('delays', {
  version: 1, entity: airport, source: flights, online: false, derive: { late: t.float64 },
  transform: (row) => ({ late: row.delay !== null && row.delay > ${threshold} ? 1 : 0 }),
  features: { departed24h: count('24h'), lastDelay: last('delay'), lastLate: last('late', { ttl: '${ttl}' }) },
})
export const lake = source('lake', { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 }, files: parquetFiles('${folder}/lake/') })
export const landings = featureView('landings', { version: 1, entity: airport, source: lake, online: false, features: { rows: count('24h') } })
export const unread = source('unread', { key: { gate: 'origin' }, eventTime: 'date', columns: {}, files: parquetFiles('/unread/') })
export const all = featureService('all', { version: 1, features: [delays] })
export const delay = model('delay', { service: all, output: { probabilities: t.float32 } })
`

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-remote-'))
  await writeFile(join(folder, 'flights.csv'), 'date,delay,note,origin\n2001-06-30T10:00:00Z,12.5,,ATL\n2001-06-30T12:00:00Z,20,,ATL\n')
  await writeFile(join(folder, 'bad.csv'), 'date,delay,note,origin\n2001-06-30T10:00:00Z,late,,ATL\n')
  await mkdir(join(folder, 'lake'))
  const columns = [
    { name: 'date', type: { kind: 'timestamp' } },
    { name: 'delay', type: { kind: 'float64' } },
    { name: 'origin', type: { kind: 'string' } },
  ] as const
  const lake = await createDatasetWriter(join(folder, 'lake/1.parquet'), columns, { format: 'parquet', overwrite: false })
  await lake.write([[Date.parse('2001-06-30T10:00:00Z') * 1000], [1.5], ['ATL']])
  await lake.close()
  for (const value of [1, 2]) await writeFile(join(folder, `${value}.onnx`), constantModel(value))
})
afterAll(async () => {
  killAll()
  await rm(folder, { recursive: true, force: true })
})

/** The settings of a server, and how its database is removed at the end. */
async function makeStores(kind: string): Promise<{ env: Environment; drop: () => Promise<unknown> }> {
  const own = await mkdtemp(join(folder, `${kind}-`))
  const files = { LOCKSTEP_FILES_DIR: join(own, 'files'), LOCKSTEP_LOG_LEVEL: 'warn' }
  if (kind === 'embedded') {
    const directory = join(own, 'data')
    await copyEmbedded(join(directory, 'postgres'))
    return { env: { ...files, LOCKSTEP_DIR: directory }, drop: () => Promise.resolve() }
  }
  const [database, redis] = [await testDatabase(), await testRedis()]
  const urls = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix }
  return { env: { ...files, ...urls, LOCKSTEP_DIR: join(own, 'unused') }, drop: () => database.drop() }
}

/**
 * A proxy before a port of this machine. It calls `cut` and loses its connections once it has passed on so many bytes.
 */
async function cuttingProxy(port: number, bytes: number, cut: () => void): Promise<{ readonly url: string; close(): void }> {
  let passed = 0
  const proxy = createServer((socket) => {
    const inner = connect(port, '127.0.0.1')
    inner.pipe(socket)
    socket.on('data', (part) => {
      const isLast = passed < bytes && passed + part.length >= bytes
      passed += part.length
      if (isLast) cut()
      else inner.write(part)
    })
    for (const [one, other] of [
      [socket, inner],
      [inner, socket],
    ] as const) {
      one.on('error', () => undefined)
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, close: () => proxy.close() }
}

describe.each(['embedded', 'postgres'])('commands that are sent to a server with %s', (kind) => {
  let env: Environment
  let drop: () => Promise<unknown>
  let server: Running
  let worker: Running | null = null
  let url: string
  /** A machine that has the address of the server and a key, and nothing else. */
  let remote: Environment

  async function serve(port: string): Promise<void> {
    server = start(env, 'serve', '--port', port)
    url = (await server.until(/Listening on (http:\S+)\.\n/))[1] ?? ''
  }

  beforeAll(async () => {
    ;({ env, drop } = await makeStores(kind))
    const { key } = (await must(env, 'keys', 'create', '--name', 'ci', '--scope', 'admin')) as unknown as { readonly key: string }
    await serve('0')
    remote = { LOCKSTEP_SERVER: url, LOCKSTEP_API_KEY: key, LOCKSTEP_DIR: join(folder, 'nothing') }
    if (kind !== 'embedded') worker = start(env, 'worker')
    await until(async () => (await fetch(`${url}/v1/models`, { headers: { 'x-api-key': key } })).ok)
  })
  afterAll(async () => {
    for (const running of [server, worker]) {
      running?.child.kill('SIGKILL')
      await running?.ended
    }
    await drop?.()
  })

  const file = (text: string): string => join(definitionFiles({ 'features.ts': text }), 'features.ts')
  const ask = async (path: string, body: unknown) =>
    await (
      await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' },
        body: JSON.stringify(body),
      })
    ).json()

  it('apply, load and push, and the server predicts', async () => {
    const definitions = file(features(15, '2d'))
    const planned = await lockstep(remote, 'plan', definitions)
    expect([planned.code, planned.out]).toEqual([0, expect.stringContaining(`at ${url}`)])
    expect((await lockstep(remote, 'plan', definitions, '--exit-code')).code).toBe(3)
    expect(await must(remote, 'apply', definitions, '--reason', 'the first')).toMatchObject({ changed: true, revision: 1 })
    expect(await must(remote, 'apply', definitions)).toMatchObject({ changed: false, revision: 1 })
    expect(await must(remote, 'ingest', 'flights', join(folder, 'flights.csv'))).toMatchObject({ rows: 2, source: 'flights' })
    expect(
      await must(remote, 'model', 'push', 'delay', join(folder, '1.onnx'), '--metric', 'auc=0.7', '--alias', 'champion'),
    ).toMatchObject({
      version: 1,
      created: true,
      metrics: { auc: 0.7 },
      champion: 1,
    })
    const request = { model: 'delay', asOf: '2001-07-01T00:00:00Z', include: ['features'], entities: [{ airport: 'ATL' }] }
    expect(await ask('/v1/predict', request)).toMatchObject({
      version: 1,
      predictions: [{ probabilities: 1 }],
      features: [{ departed24h: 2, lastDelay: 20, lastLate: 1 }],
    })
    const { records } = (await (
      await fetch(`${url}/v1/audit?limit=10`, { headers: { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' } })
    ).json()) as {
      readonly records: readonly { readonly action: string; readonly actorName: string; readonly reason: string | null }[]
    }
    const found = records.map(({ action, actorName, reason }) => [action, actorName, reason])
    for (const line of [
      ['apply', 'ci', 'the first'],
      ['ingest', 'ci', null],
      ['model.push', 'ci', null],
    ])
      expect(found).toContainEqual(line)
  })

  it('sync the Parquet files of a source, and list them', async () => {
    const begun = await must(remote, 'source', 'sync', 'lake', '--detach', '--reason', 'new files')
    expect(begun).toEqual({ job: expect.any(Number), source: 'lake', joined: false })
    // a sync of the same files is joined while it runs, else there is nothing left to load
    expect(await must(remote, 'source', 'sync', 'lake')).toMatchObject({ source: 'lake', vanished: 0 })
    const read = await fetch(`${url}/v1/sources/lake/files`, { headers: { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' } })
    const { source, files, requestId } = sourceFilesAnswer.parse(await read.json())
    const path = join(folder, 'lake/1.parquet')
    const { size } = await stat(path)
    const time = '2001-06-30T10:00:00.000Z'
    expect(files).toMatchObject([
      { path, bytes: size, rows: 1, olderRows: 0, bytesRead: expect.any(Number), from: null, minEvent: time, maxEvent: time },
    ])
    expect([source, requestId]).toEqual(['lake', read.headers.get('x-request-id')])
    expect(await must(remote, 'source', 'files', 'lake')).toEqual({ source, files })
    expect(await ask('/v1/sources/flights/sync', {})).toMatchObject({
      error: { code: 'USAGE', message: expect.stringContaining('No files feed the source "flights".') },
    })
    expect(await ask('/v1/sources/unread/sync', {})).toMatchObject({
      error: {
        code: 'SOURCE_MISSING',
        message: expect.stringContaining('"unread" has no table to load files into, because the types of its key are unknown.'),
      },
    })
    expect(await ask('/v1/sources/lake/sync', { replace: 'all' })).toMatchObject({ error: { code: 'INVALID_REQUEST' } })
    expect((await lockstep(remote, 'source', 'sync', 'lakes')).err).toMatch(/^error UNKNOWN_DEFINITION: .*"lakes"/)
  })

  it('sync all sources with Parquet files, and name those that fail', async () => {
    const failed = [
      { source: 'unread', code: 'SOURCE_MISSING', message: expect.stringContaining('"unread"'), details: { source: 'unread' } },
    ]
    const all = { sources: [{ job: expect.any(Number), source: 'lake', joined: false, files: 0, rows: 0, present: 1 }], failed }
    // with the embedded database only the server can
    for (const each of kind === 'embedded' ? [remote] : [remote, env]) {
      const synced = await lockstep(each, 'source', 'sync', '--json')
      expect([synced.code, synced.json]).toMatchObject([1, all])
      const { code, out } = await lockstep(each, 'source', 'sync')
      expect([code, out]).toEqual([1, expect.stringMatching(/^"lake" has no new files\.\n1 file had .*\nfailed: unread: SOURCE_MISSING: /)])
    }
    const begun = await lockstep(remote, 'source', 'sync', '--detach', '--json')
    expect(begun.json).toMatchObject({ sources: [{ job: expect.any(Number), source: 'lake' }], failed })
  })

  it('change models, and delete only what nothing serves', async () => {
    await must(remote, 'model', 'push', 'delay', join(folder, '2.onnx'))
    // without a wait for the server to load the version, which may take longer than the command
    await must(remote, 'model', 'promote', 'delay@2', '--at-once')
    const listed = async (): Promise<unknown> => await must(remote, 'model', 'list', 'delay')
    await expect.poll(listed, { timeout: 60_000 }).toMatchObject({
      versions: [
        { version: 1, default: false },
        { version: 2, default: true, aliases: ['champion'] },
      ],
    })
    const pulled = join(folder, 'pulled.onnx')
    expect(await must(remote, 'model', 'pull', 'delay', '--out', pulled, '--overwrite')).toMatchObject({
      model: 'delay',
      version: 2,
      path: pulled,
    })
    expect(await readFile(pulled)).toEqual(await readFile(join(folder, '2.onnx')))
    expect((await lockstep(remote, 'model', 'pull', 'delay@1', '--out', pulled)).err).toMatch(/^error FILE_EXISTS: /)
    expect((await lockstep(remote, 'model', 'delete', 'delay@2')).err).toMatch(/^error IN_USE: /)
    expect(await must(remote, 'model', 'rollback', 'delay')).toMatchObject({ to: 1 })
    expect((await lockstep(remote, 'model', 'delete', 'delay@2', '--dry-run')).out).toMatch(
      /^This deletes delay@2 .+\nNothing was changed\.\n$/,
    )
    expect(await must(remote, 'model', 'delete', 'delay@2')).toMatchObject({ version: 2 })
    expect((await must(remote, 'model', 'list')).versions).toHaveLength(1)
    const pruned = await lockstep(remote, 'prune', 'all@1', '--dry-run')
    expect([pruned.code, pruned.out]).toEqual([1, expect.stringMatching(/^This keeps the feature service all@1: /)])
  })

  it('send a model with the values that lie beside its file', async () => {
    const { bytes, weights } = splitModel()
    await writeFile(join(folder, 'split.onnx'), bytes)
    await writeFile(join(folder, 'weights.bin'), weights)
    expect(await must(remote, 'model', 'push', 'delay', join(folder, 'split.onnx'))).toMatchObject({
      version: 3,
      notes: expect.arrayContaining([expect.stringContaining('in this order: on time, late')]) as unknown,
    })
    await must(remote, 'model', 'delete', 'delay@3')
  })

  it('are refused as without a server, and then change nothing', async () => {
    const changed = file(features(30, '2d'))
    const planned = await lockstep(remote, 'plan', changed)
    expect([planned.code, planned.out]).toEqual([1, expect.stringContaining('a version never changes')])
    expect((await lockstep(remote, 'apply', changed)).err).toMatch(/^error VERSION_CHANGED: .*"delays@1"/)
    expect((await lockstep(remote, 'ingest', 'flights', join(folder, 'flights.csv'))).err).toMatch(
      /^error ALREADY_INGESTED: The file "flights\.csv" /,
    )
    expect((await lockstep(remote, 'ingest', 'flights', join(folder, 'bad.csv'))).err).toMatch(/^error INVALID_ROW: .*"bad\.csv".*"late"/)
    expect((await lockstep(remote, 'model', 'push', 'delay', join(folder, 'flights.csv'))).err).toMatch(
      /^error MODEL_INVALID: .*"flights\.csv"/,
    )
    expect((await lockstep({ ...remote, LOCKSTEP_API_KEY: 'lockstep_sk_none' }, 'plan', changed)).err).toMatch(
      /^error UNAUTHENTICATED: .*LOCKSTEP_API_KEY/,
    )
    // nothing is left of what was refused
    expect(await readdir(join(env['LOCKSTEP_FILES_DIR'] ?? '', 'uploads'))).toEqual([])
  })

  it('say what to do where the address is not that of a server', async () => {
    const definitions = file(features(15, '2d'))
    expect((await lockstep(remote, 'plan', definitions, '--server', 'ftp://x')).err).toMatch(
      /^error USAGE: The server "ftp:\/\/x" is not a URL/,
    )
    const withPassword = await lockstep(remote, 'status', '--server', 'http://me:hidden-word@localhost:1')
    expect(withPassword.err).toMatch(/^error USAGE: The URL of the server "localhost:1" has more .* LOCKSTEP_API_KEY/)
    expect(withPassword.out + withPassword.err).not.toContain('hidden-word')
    expect((await lockstep(remote, 'plan', definitions, '--server', `${url}/docs`)).err).toMatch(/^error (VERSION_MISMATCH|USAGE): /)
    if (kind !== 'embedded') return
    const here = await lockstep(env, 'plan', definitions)
    expect(here.err).toMatch(/^error EMBEDDED_IN_USE: /)
    expect(here.err).toContain(` add --server ${url}, if the command has this option`)
  })

  it('show the status, with all fields that are documented and no other', async () => {
    const answered = await fetch(`${url}/v1/status`, { headers: { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' } })
    const json = (await answered.json()) as object
    expect(statusAnswer.parse(json)).toEqual(json)
    const { code, out } = await lockstep(remote, 'status')
    expect(out).toMatch(new RegExp(`^Registry at revision \\d+, of the server "${url}"\\.`))
    expect(out).toMatch(/^delays@1 +no +continuous +never/m)
    expect(out).toMatch(/^lake +Parquet files ".*lake\//m)
    // as the database has it, which no other process can open if it is embedded
    if (kind === 'embedded') return
    const own = await lockstep(env, 'status')
    const settled = (text: string) => text.replace(/^Registry .*\n/, '').replaceAll(/[\d.,]+ (ms|s|min)( ago)?/g, 'n')
    expect([own.code, settled(own.out)]).toEqual([code, settled(out)])
  })

  it('write a training set on the server, and download it', async () => {
    const spine = join(folder, `${kind}.spine.csv`)
    await writeFile(spine, 'airport,at,label\nATL,2001-07-01T00:00:00Z,1\nATL,2001-06-30T11:00:00Z,0\nSFO,2001-07-01T00:00:00Z,0\n')
    const out = join(folder, `${kind}.csv`)
    expect((await lockstep(remote, 'dataset', 'create', 'all', '--spine', spine, '--out', out)).err).toMatch(
      /^error SPINE_INVALID: The spine ".+\.spine\.csv" does not say/,
    )
    const stored = await lockstep(remote, 'dataset', 'create', 'all', '--spine', spine, '--out', 's3://sets/a.csv', '--time', 'at')
    expect(stored.err).toMatch(/^error USAGE: A server's answer is written to a file here; "s3:\/\/sets\/a\.csv" is none/)
    const made = await must(remote, 'dataset', 'create', 'all', '--spine', spine, '--out', out, '--time', 'at')
    expect(await readFile(out, 'utf8')).toBe(
      [
        'airport,at,label,departed24h,lastDelay,lastLate',
        'ATL,2001-07-01T00:00:00Z,1,2,20,1',
        'ATL,2001-06-30T11:00:00Z,0,1,12.5,0',
        'SFO,2001-07-01T00:00:00Z,0,0,,',
        '',
      ].join('\r\n'),
    )
    expect(JSON.parse(await readFile(`${out}.manifest.json`, 'utf8'))).toMatchObject({ id: made.id, path: out })
    const parts = join(folder, `${kind}-parts`)
    await must(remote, 'dataset', 'create', 'all', '--spine', spine, '--out', parts, '--time', 'at', '--parts', '2', '--format', 'jsonl')
    expect((await readdir(parts)).toSorted()).toEqual(['manifest.json', 'part-00000.jsonl', 'part-00001.jsonl'])
    expect((await must(remote, 'dataset', 'list')).datasets).toHaveLength(2)

    // a download that broke off goes on
    const headers = { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' }
    const at = `${url}/v1/datasets/${made.id}/files/part-00000.csv`
    const whole = await fetch(at, { headers })
    const text = await whole.text()
    expect([whole.status, text]).toEqual([200, await readFile(out, 'utf8')])
    const rest = await fetch(at, { headers: { ...headers, range: 'bytes=10-', 'if-range': whole.headers.get('etag') ?? '' } })
    expect([rest.status, rest.headers.get('content-range'), await rest.text()]).toEqual([
      206,
      `bytes 10-${text.length - 1}/${text.length}`,
      text.slice(10),
    ])
    expect((await fetch(at, { headers: { ...headers, range: 'bytes=-3' } })).status).toBe(206)
    expect((await fetch(at, { headers: { ...headers, range: 'bytes=9999-' } })).status).toBe(416)
    expect((await fetch(at, { headers: { ...headers, range: 'bytes=10-', 'if-range': '"other"' } })).status).toBe(200)

    expect((await lockstep(remote, 'dataset', 'delete', made.id, '--files', '--dry-run')).out).toMatch(/It deletes its 1 file \(/)
    await must(remote, 'dataset', 'delete', made.id, '--files')
    expect((await fetch(at, { headers })).status).toBe(404)
    expect(await readdir(join(env['LOCKSTEP_FILES_DIR'] ?? '', 'datasets'))).toHaveLength(1)
  })

  it('show jobs, batches, training sets, versions and the audit log', async () => {
    const { datasets } = await must(remote, 'dataset', 'list')
    expect(await must(remote, 'dataset', 'show', String(datasets[0]?.id).slice(0, 8))).toMatchObject({ id: datasets[0]?.id })
    const { jobs } = (await must(remote, 'job', 'list', '--kind', 'export', '--limit', '1')) as unknown as {
      readonly jobs: { id: number }[]
    }
    const [id, fields] = [String(jobs[0]?.id), { kind: 'export', subject: 'all@1', state: 'done' }]
    expect(jobs).toMatchObject([fields])
    expect(await must(remote, 'job', 'show', id)).toMatchObject({
      ...fields,
      steps: expect.arrayContaining([expect.objectContaining({ step: 'finish' })]),
    })
    expect(await must(remote, 'job', 'watch', id)).toMatchObject(fields)
    expect((await lockstep(remote, 'job', 'retry', id)).err).toMatch(/^error INVALID_REQUEST: The job "\d+" is done/)

    const batch = ['batch', 'run', 'delay', '--id', 'days/1', '--out', 'postgres:public.scores', '--reason', 'a day']
    const spine = `select 'ATL' as airport, timestamptz '2001-07-01 00:00Z' as at`
    expect((await lockstep(remote, ...batch, '--spine', 'rows.csv')).err).toMatch(/^error USAGE: A server cannot use ".*rows\.csv"/)
    const done = { id: 'days/1', state: 'done', result: { rows: 1, refused: 0 } }
    expect(await must(remote, ...batch, '--spine', spine)).toMatchObject({ ...done, joined: false })
    expect(await must(remote, ...batch, '--spine', spine, '--detach')).toMatchObject({ ...done, joined: true })
    expect(await must(remote, 'batch', 'list')).toMatchObject({ batches: [done] })
    expect(await must(remote, 'batch', 'show', 'days/1')).toMatchObject(done)
    expect(await must(remote, 'batch', 'watch', 'days/1')).toMatchObject(done)
    expect((await lockstep(remote, 'batch', 'show', 'days/2')).err).toMatch(/^error NOT_FOUND: There is no batch "days\/2"/)
    expect((await lockstep(remote, 'batch', 'cancel', 'days/1')).err).toMatch(/^error INVALID_REQUEST: The batch "days\/1" is done/)
    expect((await lockstep(remote, 'backfill', 'delays')).err).toMatch(/^error INVALID_REQUEST: The view "delays@1" is not online/)

    expect(await must(remote, 'model', 'alias', 'delay@1', 'spare')).toMatchObject({ alias: 'spare', to: 1 })
    expect(await must(remote, 'model', 'show', 'delay')).toMatchObject({ version: 1, aliases: ['champion', 'spare'], pinned: null })
    expect((await lockstep(remote, 'model', 'show', 'delay@spare')).out).toMatch(/^model +delay@1 \(champion, spare\)\n/)
    expect(await must(remote, 'model', 'alias', 'delay', 'spare', '--remove')).toMatchObject({ from: 1, to: null })
    expect(await must(remote, 'model', 'history', 'delay', '--limit', '1')).toMatchObject({
      model: 'delay',
      events: [{ action: 'remove', alias: 'spare' }],
    })
    expect(await must(remote, 'audit', '--what', 'batch')).toMatchObject({
      records: [{ action: 'batch.start', actorName: 'ci', reason: 'a day' }],
    })
  })

  // the upload is a file, whatever the database is
  it.each(kind === 'postgres' ? ['large.csv'] : [])(
    'go on with the upload of %s after the server was killed, and load every row once',
    async (name) => {
      const rows = 320
      const line = (i: number): string => `2001-07-01T00:00:00Z,${i},${'n'.repeat(15_000)},JFK\n`
      await writeFile(join(folder, name), `date,delay,note,origin\n${Array.from({ length: rows }, (_, i) => line(i)).join('')}`)
      const { port } = new URL(url)
      const proxy = await cuttingProxy(Number(port), 2_000_000, () => server.child.kill('SIGKILL'))
      const command = start({ ...remote, LOCKSTEP_SERVER: proxy.url }, 'ingest', 'flights', join(folder, name), '--json')
      await server.ended
      const [upload = ''] = await readdir(join(env['LOCKSTEP_FILES_DIR'] ?? '', 'uploads'))
      const { size } = await stat(join(env['LOCKSTEP_FILES_DIR'] ?? '', 'uploads', upload, 'file', name))
      expect(size).toBeLessThan(2_000_001)
      await serve(port)
      const { code, json, err } = await command.ended
      proxy.close()
      expect([code, err]).toEqual([0, ''])
      expect(json).toMatchObject({ rows })
      await whenReady(url)
      const read = { service: 'all', asOf: '2001-07-01T01:00:00Z', entities: [{ airport: 'JFK' }] }
      expect(await ask('/v1/features', read)).toMatchObject({ results: [{ features: { departed24h: rows } }] })
    },
  )

  it('of two clients at the same time both succeed', async () => {
    const names = ['one', 'two']
    for (const name of names) await writeFile(join(folder, `${name}.csv`), `date,delay,note,origin\n2001-07-02T00:00:00Z,1,${name},LAX\n`)
    const loads = await Promise.all(names.map((name) => must(remote, 'ingest', 'flights', join(folder, `${name}.csv`))))
    expect(loads.map(({ rows }) => rows)).toEqual([1, 1])
    const read = { service: 'all', asOf: '2001-07-02T01:00:00Z', entities: [{ airport: 'LAX' }] }
    expect(await ask('/v1/features', read)).toMatchObject({ results: [{ features: { departed24h: 2 } }] })

    const { id } = loads[0] as { readonly id: string }
    const stateOf = async () => {
      const { loads: listed } = (await must(remote, 'ingest', 'list')) as object as { loads: readonly { id: string; state: string }[] }
      return listed.find((each) => each.id === id)?.state
    }
    expect(await stateOf()).toBe('loaded')
    const page = async (query: string) => {
      const response = await fetch(`${url}/v1/loads?limit=1${query}`, { headers: { 'x-api-key': remote['LOCKSTEP_API_KEY'] ?? '' } })
      return (await response.json()) as { loads: readonly { id: string }[]; next: string | null }
    }
    const first = await page('')
    expect(first).toMatchObject({ loads: [{ id: first.next }] })
    const [older] = (await page(`&before=${first.next}`)).loads
    expect(Number(older?.id)).toBeLessThan(Number(first.next))
    expect((await page('&before=1')).loads).toEqual([])
    expect(await page('&source=fligths')).toMatchObject({ error: { code: 'UNKNOWN_DEFINITION' } })
    expect(await page('&before=x')).toMatchObject({ error: { code: 'INVALID_REQUEST' } })
    expect(await must(remote, 'ingest', 'undo', id, '--yes', '--reason', 'a test')).toMatchObject({ id, source: 'flights', rows: 1 })
    expect(await stateOf()).toBe('undone')
    expect(await ask('/v1/features', read)).toMatchObject({ results: [{ features: { departed24h: 1 } }] })
    expect((await lockstep(remote, 'ingest', 'undo', '999', '--yes')).err).toMatch(/^error UNKNOWN_DEFINITION: There is no load "999"/)
  })
})
