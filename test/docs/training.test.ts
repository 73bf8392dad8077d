import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { LockstepCommand } from '../cli/one-process.ts'
import { commandsWith } from '../cli/one-process.ts'
import { findPython } from '../examples/find-python.ts'
import { constantModel } from '../inference/made-models.ts'
import { rootFolder } from '../source-files.ts'
import { documentedCommands } from './documented.ts'
import { fencedBlocks } from './fenced-blocks.ts'

// docs/training.md from an empty folder, with the embedded stores. Without Python, its trainer is the one of the
// project.

const page = 'docs/training.md'

let folder: string
let lockstep: LockstepCommand
const trainer = () => join(folder, 'trainers/train_fraud.py')
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-training-page-'))
  lockstep = commandsWith({}, folder)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function must(...words: readonly string[]): Promise<string> {
  const { exitCode, out, err } = await lockstep(...words)
  expect(exitCode, `lockstep ${words.join(' ')}: ${err}`).toBe(0)
  return out
}

/** Saves what the page shows, as a reader does. */
async function saveFiles(): Promise<void> {
  await mkdir(join(folder, 'node_modules'))
  await symlink(rootFolder, join(folder, 'node_modules/lockstep'))
  for (const { title, text } of fencedBlocks(await readFile(join(rootFolder, page), 'utf8')))
    if (title !== null) await writeFile(join(folder, title), text)
  const python = await findPython()
  if (python === null) {
    const text = await readFile(join(folder, 'trainers/train.js'), 'utf8')
    const instead = join(folder, 'instead.js')
    await writeFile(instead, text.replaceAll("'probability'", "'probabilities'").replace('{ rounds }', '{ trees: rounds }'))
    await writeFile(trainer(), `#!/bin/sh\nexec node '${instead}' "$@"\n`)
    const definitions = join(folder, 'fraud.ts')
    await writeFile(definitions, (await readFile(definitions, 'utf8')).replace("test: '7d',", "test: '7d', format: 'jsonl',"))
  } else {
    const text = await readFile(trainer(), 'utf8')
    await writeFile(trainer(), text.replace('/usr/bin/env python3', python))
  }
  await chmod(trainer(), 0o755)
}

it('the commands of docs/training.md train, register and promote a version', { timeout: 600_000 }, async () => {
  const commands = documentedCommands(page).map(({ words }) => words.slice(1))
  expect(commands.map((words) => words.slice(0, 2).join(' '))).toEqual([
    'init',
    'migrate',
    'apply',
    'ingest payments',
    'ingest labels',
    'apply fraud.ts',
    'training list',
    'training run',
    'training show',
    'worker --only',
  ])
  const said: string[] = []
  for (const words of commands.slice(0, -1)) {
    said.push(await must(...words))
    if (words[0] === 'init') await saveFiles()
  }
  const [list = '', run = '', shown = ''] = said.slice(-3)
  expect(list).toMatch(/fraud_weekly +fraud_forest +train_fraud\.py +\d{4}-\d\d-\d\dT04:00:00Z +never/)
  expect(run).toContain('680 rows to train on, 308 to test on')
  expect(run).toContain('Registered fraud_forest@1.')
  expect(run).toContain('It promoted version 1 to champion.')
  expect(run).toMatch(/met: auc is 0\.9\d+, which is at least 0\.8\./)
  expect(shown).toContain('Requires auc of at least 0.8, auc at most 0.01 worse than the champion.')
  expect(shown).toMatch(/\d+ +\S+ +registered +680 +308 +1 +.*auc 0\.9/)
})

it('says what is wrong with runs that cannot be', async () => {
  const failing = async (...words: readonly string[]) => await lockstep('training', 'run', 'fraud_weekly', ...words)
  expect((await failing('--detach')).err).toContain('Leave out --detach')
  const empty = await failing('--at', '2020-01-06T04:00:00Z')
  expect(empty).toMatchObject({ exitCode: 1, err: expect.stringContaining('has no rows to train on, from 2019-09-17T04:00:00Z') as string })
  const constant = constantModel(0.5, 7)
  await writeFile(join(folder, 'constant.onnx'), constant)
  await writeFile(trainer(), `#!/bin/sh\ncat '${folder}/constant.onnx' > "$3"\n`)
  const at = '2026-03-16T05:00:00Z'
  const refused = await failing('--at', at, '--if-refused', '99')
  expect(refused).toMatchObject({ exitCode: 99, out: expect.stringContaining('NOT met: auc is 0.5, and must be at least 0.8.') as string })
  expect((await failing('--at', at)).exitCode).toBe(1)
  await rm(trainer())
  const { err } = await failing()
  expect(err).toContain('This process may not run the trainer "train_fraud.py"')
})
