import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budget } from '../budget.ts'
import type { LockstepCommand } from '../cli/one-process.ts'
import { commandsWith } from '../cli/one-process.ts'
import type { Printed } from '../cli/run-lockstep.ts'
import { jsonOf, killAll, start, whenReady } from '../cli/run-lockstep.ts'
import { fencedBlocks } from '../docs/fenced-blocks.ts'
import { floats, makeOnnx } from '../inference/make-onnx.ts'
import { run } from '../services/binaries.ts'
import { copyEmbedded } from '../services/embedded-template.ts'
import { rootFolder } from '../source-files.ts'
import { pythonWith } from '../python-with.ts'
import { arrowTables, namedColumns, streamOf } from '../serving/arrow-tables.ts'
import { readArrow } from '../serving/read-arrow.ts'

// The Python client against a server with the embedded stores, whose world is that of docs/tutorial.md.

const client = join(rootFolder, 'clients/python')
/** Python's compiled modules are kept here, not among the sources: to compile those of pandas takes seconds. */
const compiled = join(rootFolder, 'node_modules/.cache/python/compiled')
/** The types that mypy has found in unchanged files, those of Python's own library among them. */
const types = join(rootFolder, 'node_modules/.cache/python/types')
let folder: string
let python: string
let lockstep: LockstepCommand
/** Where the server is, and the keys that it knows, as the Python tests read them. */
let settings: Readonly<Record<string, string>>

async function must(...words: readonly string[]): Promise<Printed & { readonly key: string }> {
  const { exitCode, out, err } = await lockstep(...words, '--json')
  expect(exitCode, `lockstep ${words.join(' ')}: ${err}`).toBe(0)
  return jsonOf(out) as Printed & { readonly key: string }
}

const put = (name: string, content: string | Uint8Array): Promise<void> => writeFile(join(folder, name), content)
const read = (name: string): Promise<string> => readFile(join(rootFolder, name), 'utf8')
const fromSource = (text: string): string => text.replace(`'lockstep'`, JSON.stringify(join(rootFolder, 'index.ts')))

/** Three features in, a probability out. */
const fraudModel = makeOnnx({
  graph: {
    inputs: [{ name: 'features', type: 'float', shape: ['N', 3] }],
    outputs: [{ name: 'probability', type: 'float', shape: ['N', 1] }],
    initializers: [{ name: 'weights', type: 'float', dims: [3, 1], raw: floats(0.5, 0.001, -1) }],
    nodes: [
      { type: 'MatMul', inputs: ['features', 'weights'], outputs: ['score'] },
      { type: 'Sigmoid', inputs: ['score'], outputs: ['probability'] },
    ],
  },
})

/** Its newest interval has no payments. */
const schedule = `
import { batch, training } from 'lockstep'
import { fraud } from './features.ts'

export const leapDays = batch('leap_days', {
  model: fraud,
  schedule: '0 0 29 2 *',
  spine: { sql: "select card, paid_at, amount from lockstep_source.payments where paid_at >= '{from}' and paid_at < '{to}'" },
  out: 'postgres:leap_days',
  mode: 'append',
})

export const retrain = training('retrain', {
  model: fraud,
  spine: { sql: "select card, paid_at, amount, true as fraud from lockstep_source.payments where paid_at >= '{from}' and paid_at < '{to}'" },
  label: 'fraud',
  window: '30d',
  test: '7d',
  trainer: 'train.py',
})
`

beforeAll(async () => {
  // those of the notebook, pandas and pyarrow among them
  const requirements = (await read('examples/flights/requirements.txt')).trim().split('\n')
  python = join(await pythonWith('client', ['pytest==9.2.0', 'mypy==2.4.1', 'ruff==0.17.6', ...requirements]), 'python')
  folder = await mkdtemp(join(tmpdir(), 'lockstep-python-'))
  const env = { LOCKSTEP_DIR: join(folder, '.lockstep') }
  await copyEmbedded(join(folder, '.lockstep/postgres'))
  lockstep = commandsWith(env, folder)
  const tutorial = fencedBlocks(await read('docs/tutorial.md')).find(({ title }) => title === 'features.ts')
  await put('features.ts', fromSource(tutorial?.text ?? ''))
  await put('accounts.ts', fromSource(await readFile(join(import.meta.dirname, 'definitions.ts'), 'utf8')))
  await put('fraud.onnx', fraudModel)
  await run(process.execPath, [join(rootFolder, 'examples/tutorial/make-payments.ts')], { cwd: folder })
  await put('schedule.ts', fromSource(schedule))
  for (const file of ['features.ts', 'accounts.ts', 'schedule.ts']) await must('apply', file)
  await must('ingest', 'payments', 'payments.csv')
  await must(
    'dataset',
    'create',
    'fraud_features',
    '--spine',
    'labels.csv',
    '--time',
    'paid_at',
    '--split',
    '2026-02-15',
    '--out',
    'fraud.csv',
  )
  await must('model', 'push', 'fraud', 'fraud.onnx')
  await must('materialize')
  const key = async (scope: string): Promise<string> => (await must('keys', 'create', '--name', scope, '--scope', scope)).key
  const keys = { LOCKSTEP_TEST_KEY: await key('admin'), LOCKSTEP_TEST_PREDICT_KEY: await key('predict') }
  const server = start({ ...env, LOCKSTEP_LOG_PREDICTIONS: '0,fraud=1' }, 'serve', '--port', '0', '--json')
  const [, url = ''] = await server.until(/"url": "(http:[^"]+)"/)
  await whenReady(url)
  settings = { LOCKSTEP_TEST_SERVER: url, ...keys, LOCKSTEP_TEST_FOLDER: folder }
}, 600_000)

afterAll(async () => {
  killAll()
  await rm(folder, { recursive: true, force: true })
})

async function passes(...words: readonly string[]): Promise<string> {
  const env = { ...process.env, ...settings, PYTHONPATH: join(client, 'src'), PYTHONPYCACHEPREFIX: compiled, OMP_NUM_THREADS: '1' }
  const { stdout, failed } = await run(python, ['-m', ...words], { cwd: client, env, maxBuffer: 1e8 }).then(
    ({ stdout }) => ({ stdout, failed: false }),
    ({ stdout, stderr }: { stdout: string; stderr: string }) => ({ stdout: stdout + stderr, failed: true }),
  )
  if (failed) expect.fail(`python -m ${words.join(' ')}\n${stdout}`)
  return stdout
}

describe('the Python client', { timeout: 900_000 }, () => {
  it('passes its own tests against a server', async () => {
    expect(await passes('pytest')).toMatch(/^\d+ passed in/m)
  })

  it('has strict types and no lint', async () => {
    await Promise.all([
      passes('mypy', '--cache-dir', types),
      passes('ruff', 'check', '--no-cache', '.'),
      passes('ruff', 'format', '--no-cache', '--check', '.'),
    ])
  })
})

describe('an Arrow stream', { timeout: 900_000 }, () => {
  it('is valid to pyarrow, which writes equal values', async () => {
    const tables = await mkdtemp(join(folder, 'arrow-'))
    const generated = fc.sample(arrowTables, budget(300))
    for (const [i, table] of generated.entries()) await writeFile(join(tables, `${i}.arrows`), streamOf(table, {}))
    await run(python, ['-c', program, tables, String(generated.length)], { env: { ...process.env, PYTHONPYCACHEPREFIX: compiled } })
    for (const [i, table] of generated.entries()) {
      expect(readArrow(await readFile(join(tables, `${i}.arrows`))).columns, `table ${i}`).toEqual(namedColumns(table))
    }
  })
})

/** Validates the tables, and writes them again from their values as Python has them. */
const program = `
import sys
import pyarrow as pa

for i in range(int(sys.argv[2])):
    path = f"{sys.argv[1]}/{i}.arrows"
    with open(path, "rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    table.validate(full=True)
    columns = [pa.array(column.to_pylist(), type=column.type) for column in table.columns]
    if not columns:
        continue  # there are no values to write again
    with pa.OSFile(path, "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_batch(pa.record_batch(columns, schema=table.schema))
`
