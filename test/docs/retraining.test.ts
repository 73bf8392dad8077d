import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { bareEnvironment } from '../bare-environment.ts'
import type { LockstepCommand } from '../cli/one-process.ts'
import { commandsWith } from '../cli/one-process.ts'
import type { Environment } from '../cli/run-lockstep.ts'
import { constantModel } from '../inference/made-models.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { fencedBlocks } from './fenced-blocks.ts'

// The scripts of docs/orchestration.md, as a scheduler runs them.

const definitions = `import { count, entity, featureService, featureView, model, outcome, source, t } from ${JSON.stringify(join(rootFolder, 'index.ts'))}

export const card = entity('card', { key: { card: t.string } })
export const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
export const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h'), paid6h: count('6h'), paid1d: count('1d') } })
export const fraudFeatures = featureService('fraud_features', { version: 1, features: [spending] })
export const fraud = model('fraud', { service: fraudFeatures, output: { probabilities: t.float32 } })
export const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '1d', missing: false })
`

let folder: string
let env: Environment
let lockstep: LockstepCommand
/** Runs the commands of the scripts. */
let commands: Server
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-retraining-'))
  const [database, redis] = [await testDatabase(), await testRedis()]
  drop = database.drop
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_DIR: join(folder, 'unused'),
  }
  lockstep = commandsWith(env, folder)
  const db = openPostgres(database.url)
  await db.script(`create table labels (card text, paid_at timestamptz, amount float8, fraud boolean);
    insert into labels values ('c1', '2026-01-05T10:00:00Z', 50, true), ('c2', '2026-02-01T00:00:00Z', 20, false)`)
  await db.close()
  await writeFile(join(folder, 'features.ts'), definitions)
  for (const [i, file] of ['first', 'second', 'third', 'fourth'].entries())
    await writeFile(join(folder, `${file}.onnx`), constantModel(i / 10))
  for (const words of [['apply', 'features.ts'], ['materialize'], ['model', 'push', 'fraud', 'first.onnx', '--alias', 'champion']]) {
    await must(...words)
  }
  for (const { title, text } of fencedBlocks(await readFile(join(rootFolder, 'docs/orchestration.md'), 'utf8')))
    if (title === 'retrain.sh' || title === 'retrain-served.sh') await put(title, text)
  await mkdir(join(folder, 'bin'))
  // a process that starts for each command would take most of the time
  commands = createServer((request, response) => {
    const ran = json(request).then((words) => lockstep(...(words as string[])))
    void ran.then((outcome) => response.end(JSON.stringify(outcome)))
  }).listen(0, '127.0.0.1')
  await once(commands, 'listening')
  const url = `http://127.0.0.1:${(commands.address() as AddressInfo).port}`
  await put(
    'bin/send.mjs',
    `const answer = await fetch('${url}', { method: 'POST', body: JSON.stringify(process.argv.slice(2)) })
const { exitCode, out, err } = await answer.json()
process.stdout.write(out)
process.stderr.write(err)
process.exitCode = exitCode
`,
  )
  await put('bin/lockstep', `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'bin/send.mjs')}' "$@"\n`)
  // it has learned what the test puts in its place
  await put('train', `#!/bin/sh\n: > rows\nwhile [ $# -gt 1 ]; do cat "$1" >> rows; shift; done\ncp trained.onnx "$1" && echo 0.91\n`)
})

afterAll(async () => {
  commands?.close()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

async function must(...words: readonly string[]): Promise<void> {
  const { exitCode, err } = await lockstep(...words)
  if (exitCode !== 0) throw new Error(`${words.join(' ')}: ${err}`)
}

async function put(name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), text)
  await chmod(join(folder, name), 0o755)
}

/** @returns the exit code of the script, and what it prints on standard error */
async function retrain(trained: string, ...days: readonly string[]): Promise<{ readonly code: number; readonly err: string }> {
  return await runScript('retrain.sh', trained, days)
}

async function runScript(
  script: string,
  trained: string,
  days: readonly string[],
): Promise<{ readonly code: number; readonly err: string }> {
  await copyFile(join(folder, trained), join(folder, 'trained.onnx'))
  const path = [join(folder, 'bin'), dirname(process.execPath), process.env['PATH']].join(delimiter)
  return await new Promise((resolve) => {
    execFile(`./${script}`, days, { cwd: folder, env: { ...bareEnvironment, ...env, PATH: path } }, (error, _, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), err }),
    )
  })
}

async function rolloutOf(): Promise<unknown> {
  return JSON.parse((await lockstep('rollout', 'show', 'fraud', '--json')).out)
}

it('trains, pushes and rolls out a version, and does so once however often it runs', async () => {
  expect(await retrain('second.onnx', '2020-01-01', '2020-01-20', '2020-03-01')).toMatchObject({ code: 99 })
  const days = ['2026-01-01', '2026-01-20', '2026-03-01']
  expect(await retrain('second.onnx', ...days)).toEqual({ code: 0, err: expect.anything() })
  const rows = (await readFile(join(folder, 'rows'), 'utf8')).split(/\s+/)
  expect(rows.map((row) => row.slice(0, 3))).toEqual(['car', 'c1,', 'car', 'c2,', ''])
  expect(await rolloutOf()).toMatchObject({ serves: 1, rollout: { version: 2, state: 'running', share: 0.01 } })
  const pushed = JSON.parse((await lockstep('model', 'show', 'fraud@2', '--json')).out) as unknown
  expect(pushed).toMatchObject({ metrics: { auc: 0.91 }, lineage: { dataset: { sameService: true } } })
  expect(await retrain('second.onnx', ...days)).toMatchObject({ code: 0, err: expect.stringContaining('IN_USE') })
  const next = await retrain('third.onnx', ...days)
  expect(next).toMatchObject({ code: 1, err: expect.stringContaining('IN_USE') })
  expect(await rolloutOf()).toMatchObject({ rollout: { version: 2 } })
})

it('trains on what was served, with the outcomes that are known', async () => {
  await must('rollout', 'abort', 'fraud', '--reason', 'for the next')
  // read once, as midnight may pass
  const today = Math.floor(Date.now() / 86_400_000) * 86_400_000
  const hoursBefore = (hours: number) => new Date(today - hours * 3_600_000).toISOString()
  const served = `select 'p' || card as id, card, timestamptz '${hoursBefore(72)}' as paid_at from labels
    union all select 'new', 'c1', now() - interval '1 hour'`
  await must('predictions', 'backfill', 'fraud', '--version', '1', '--spine', served, '--id', 'id')
  const db = openPostgres(env['LOCKSTEP_POSTGRES_URL'] ?? '')
  await db.script(`insert into lockstep_source.chargeback (prediction_id, at, value) values ('pc1', '${hoursBefore(60)}', true)`)
  await db.close()
  expect(await runScript('retrain-served.sh', 'fourth.onnx', ['2020-01-01'])).toMatchObject({ code: 99 })
  expect(await runScript('retrain-served.sh', 'fourth.onnx', [new Date().toISOString()])).toEqual({ code: 0, err: expect.anything() })
  const [names = [], ...rows] = (await readFile(join(folder, 'rows'), 'utf8'))
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.split(','))
  const of = (name: string) => rows.map((row) => row[names.indexOf(name)])
  expect([of('_prediction_id'), of('paid1h'), of('_outcome'), of('_outcome_state')]).toEqual([
    ['pc1', 'pc2'],
    ['0', '0'],
    ['true', 'false'],
    ['matched', 'missing'],
  ])
  expect(await rolloutOf()).toMatchObject({ rollout: { version: 4, state: 'running' } })
})
