import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LockstepCommand } from '../cli/one-process.ts'
import { commandsWith } from '../cli/one-process.ts'
import { constantModel } from '../inference/made-models.ts'
import { rootFolder } from '../source-files.ts'
import { documentedCommands } from './documented.ts'
import { fencedBlocks } from './fenced-blocks.ts'

// docs/training.md, with the embedded stores, and with a trainer that needs no Python.

const page = 'docs/training.md'
const library = JSON.stringify(join(rootFolder, 'index.ts'))
const features = `import { count, entity, featureService, featureView, model, source, t } from ${library}

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64, fraud: t.bool } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h'), paid6h: count('6h'), paid1d: count('1d') } })
const fraudFeatures = featureService('fraud_features', { version: 1, features: [spending] })
export const fraud = model('fraud', { service: fraudFeatures, output: { probabilities: t.float32 } })
`

let folder: string
let lockstep: LockstepCommand
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-training-page-'))
  const put = (name: string, text: string | Uint8Array) => writeFile(join(folder, name), text)
  lockstep = commandsWith({ LOCKSTEP_DIR: join(folder, 'data'), LOCKSTEP_TRAINERS: join(folder, 'trainers') }, folder)
  await put('features.ts', features)
  const blocks = fencedBlocks(await readFile(join(rootFolder, page), 'utf8'))
  const shown = blocks.find(({ title }) => title === 'fraud.ts')?.text ?? ''
  // the embedded database has no other table to take labels from
  const definitions = shown
    .replace(`'lockstep'`, library)
    .replace('from labels where', 'from lockstep_source.payments where')
    .replace("label: 'fraud',", "label: 'fraud', asOf: 'before',")
    // seven rows are too few for figures of Lockstep
    .replaceAll("metric: 'auc'", "metric: 'gain'")
  await put('fraud.ts', definitions)
  const day = 86_400_000
  const rows = Array.from({ length: 60 }, (_, n) => `c1,${new Date(Date.now() - (n + 20) * day).toISOString()},${n},${n % 2 === 0}`)
  await put('payments.csv', ['card,paid_at,amount,fraud', ...rows].join('\n'))
  await put('model.onnx', constantModel(0.5))
  await mkdir(join(folder, 'trainers'))
  const trainer = join(folder, 'trainers/train_fraud.py')
  await writeFile(trainer, `#!/bin/sh\ncat '${folder}/model.onnx' > "$3"\necho '{"metrics": {"gain": 0.83}}'\n`)
  await chmod(trainer, 0o755)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function must(...words: readonly string[]): Promise<string> {
  const { exitCode, out, err } = await lockstep(...words)
  expect(exitCode, `lockstep ${words.join(' ')}: ${err}`).toBe(0)
  return out
}

it('the commands of docs/training.md train, register and promote a version', async () => {
  const commands = documentedCommands(page).map(({ words }) => words.slice(1))
  expect(commands.map((words) => words.slice(0, 2).join(' '))).toEqual([
    'apply fraud.ts',
    'training list',
    'training run',
    'training show',
    'worker --only',
  ])
  await must('migrate')
  await must('apply', 'features.ts')
  await must('ingest', 'payments', 'payments.csv')
  const said: string[] = []
  for (const words of commands.slice(0, 4)) said.push(await must(...words))
  const [, list = '', run = '', shown = ''] = said
  expect(list).toMatch(/fraud_weekly +fraud +train_fraud\.py +\d{4}-\d\d-\d\dT04:00:00Z +never/)
  expect(run).toContain('Registered fraud@1.')
  expect(run).toContain('It promoted version 1 to champion.')
  expect(run).toContain('met: gain is 0.83, which is at least 0.8.')
  expect(shown).toContain('Requires gain of at least 0.8, gain at most 0.01 worse than the champion.')
  expect(shown).toMatch(/\d+ +\S+ +registered +\d+ +\d +1 +gain 0\.83/)
})

it('says what is wrong with runs that cannot be', async () => {
  const failing = async (...words: readonly string[]) => await lockstep('training', 'run', 'fraud_weekly', ...words)
  expect((await failing('--detach')).err).toContain('Leave out --detach')
  const empty = await failing('--at', '2020-01-06T04:00:00Z')
  expect(empty).toMatchObject({ exitCode: 1, err: expect.stringContaining('has no rows to train on, from 2019-09-17T04:00:00Z') as string })
  await writeFile(
    join(folder, 'trainers/train_fraud.py'),
    `#!/bin/sh\ncat '${folder}/model.onnx' > "$3"\necho '{"metrics": {"gain": 0.7}}'\n`,
  )
  const at = new Date(Date.now() - 3_600_000).toISOString()
  const refused = await failing('--at', at, '--if-refused', '99')
  expect(refused).toMatchObject({ exitCode: 99, out: expect.stringContaining('NOT met: gain is 0.7, and must be at least 0.8.') as string })
  expect((await failing('--at', at)).exitCode).toBe(1)
  await rm(join(folder, 'trainers/train_fraud.py'))
  const { err } = await failing()
  expect(err).toContain('This process may not run the trainer "train_fraud.py"')
})
