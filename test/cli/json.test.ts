import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { commands } from '../../cli/commands.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { describedDocuments } from './json-page.ts'
import type { LockstepCommand } from './one-process.ts'
import { commandsWith } from './one-process.ts'
import { jsonOf } from './run-lockstep.ts'

const described = new Map(describedDocuments().map(({ command, problems }) => [command, problems]))
const names = (await Promise.all(commands.map((entry) => entry.load()))).map(({ name }) => name)

/** The life of the project of `init`: `@set` is the training set that was made, `@key` the key. */
const lines = `
init . --template fraud
doctor
migrate
plan
apply
list
show spending
search spent
lineage fraud
openapi
completion bash
ingest payments data/payments.csv
ingest labels data/labels.csv
ingest list
source files payments
materialize
backfill spending
features get fraud_features --entity card=c36,amount=3
explain fraud_features --entity {"card":"c36","amount":3} --as-of 2026-02-20T00:00:00Z
dataset create fraud_features --spine data/labels.csv --time paid_at --out set.csv
dataset list
dataset show @set
dataset verify @set
export-plan fraud_features --out plan.json
model push fraud models/fraud.onnx --dataset @set --alias champion
training run fraud_training --at 2026-03-01T00:00:00Z
training list
training show fraud_training
model list
model show fraud
model history fraud
model evaluate fraud --dataset @set --label fraud
model alias fraud@2 challenger
model pin fraud@1
model unpin fraud
model promote fraud@2
model rollback fraud
model pull fraud@1 --out pulled.onnx
baseline create fraud@1
baseline show fraud
drift fraud
stats fraud
report fraud
cost
predict fraud --spine data/labels.csv --time paid_at --out predicted.csv
batch run fraud --spine data/labels.csv --time paid_at --out scores
batch list
batch show scores
batch watch scores
batch estimate fraud --spine data/labels.csv
job list
job show 1
job watch 1
status
audit
monitor list
monitor show model:fraud
monitor run model:fraud
alert list
pipeline list
experiment list
outcome list
dead-letter list
predictions list
parity
rollout start fraud@2 --plan default
rollout pause fraud
rollout resume fraud
rollout show fraud
rollout replay fraud
rollout abort fraud
rollout start fraud@2 --share 10%
rollout share fraud 20%
rollout abort fraud
shadow start fraud@2 --share 10%
shadow show fraud
shadow stop fraud
keys create --name reader --scope read
keys list
keys rotate @key
keys revoke @key
dataset create fraud_features --spine data/labels.csv --time paid_at --out another.csv
dataset delete @set --yes
erase card c36 --yes
ingest undo 2 --yes
prune fraud_training
`
  .trim()
  .split('\n')

/** They stay until they are ended, or need more than the project has: other tests compare some of what they print. */
const notRun =
  'dev, source sync, dataset register, batch cancel, partition, pipeline show, pipeline pause, pipeline resume, pipeline replay, worker, job cancel, job retry, dead-letter show, dead-letter retry, dead-letter drop, model delete, rollout promote, experiment plan, experiment start, experiment show, experiment stop, experiment decide, experiment export, predictions backfill, predictions export, outcome show, alert show, alert silence, alert unsilence, alert test, quality, sign, serve, ui'

let folder: string
let database: TestDatabase
let lockstep: LockstepCommand

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-json-'))
  await mkdir(join(folder, 'node_modules'))
  await symlink(rootFolder, join(folder, 'node_modules/lockstep'))
  const redis = await testRedis()
  database = await testDatabase({ migrate: false })
  const env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    LOCKSTEP_LOG_LEVEL: 'silent',
  }
  lockstep = commandsWith(env, folder)
})
afterAll(async () => {
  await database?.drop()
  await rm(folder, { recursive: true, force: true })
})

describe('docs/json.md', () => {
  it('describes the document of every command, and of no other', () => {
    expect([...described.keys()].toSorted()).toEqual(names.toSorted())
  })

  it('says what commands print with --json', { timeout: 300_000 }, async () => {
    const ids = new Map<string, string>()
    const wrong: Record<string, unknown> = {}
    const ran = new Set<string>()
    for (const line of lines) {
      const command = names.filter((name) => line === name || line.startsWith(`${name} `)).toSorted((a, b) => b.length - a.length)[0] ?? ''
      ran.add(command)
      const words = line.split(' ').map((word) => (word.startsWith('@') ? (ids.get(word) ?? word) : word))
      const { out, err } = await lockstep(...words, '--json')
      if (out.trim() === '') wrong[line] = err
      else {
        const document = jsonOf(out)
        if (line.startsWith('dataset create')) ids.set('@set', document['id'])
        if (/^keys (create|rotate)/.test(line)) ids.set('@key', document['id'])
        const problems = described.get(command)?.(document) ?? ['it is not described']
        if (problems.length > 0) wrong[line] = problems
      }
    }
    expect(wrong).toEqual({})
    expect(names.filter((name) => !ran.has(name)).toSorted()).toEqual(notRun.split(', ').toSorted())
  })
})
