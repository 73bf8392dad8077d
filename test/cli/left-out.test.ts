import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import type { Context } from '../../cli/context.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadConfig } from '../../runtime/config.ts'
import { onnx } from '../serving/fixtures.ts'
import { servingSet } from '../serving/definitions.ts'
import { testDatabase } from '../services/index.ts'

let context: Context
let folder: string
let drop: () => Promise<void>
const inFolder = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-left-out-'))
  const database = await testDatabase()
  drop = database.drop
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_DIR: inFolder('unused'), LOCKSTEP_LOG_LEVEL: 'silent' })
  context = createContext(config, createTerminal(true), new AbortController().signal)
  const db = await context.database()
  await applyChanges(db, servingSet)
  await db.query(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-01-01', 5), (null, '2001-01-01', 7)`)
  await writeFile(inFolder('one.onnx'), await onnx('one'))
  await run('model', 'push', 'strict', inFolder('one.onnx'))
})

afterAll(async () => {
  await context?.close()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

async function run(...words: readonly string[]): Promise<Outcome> {
  return (await prepare(words))(context)
}

const spine = (where = 'true') => `select airport, timestamptz '2001-01-02' as at from (values ('ATL'), ('XXX')) v (airport) where ${where}`
const predict = (name: string, query: string) => run('predict', 'strict', '--spine', query, '--out', inFolder(name))

describe('predict', () => {
  it('writes a file without rows for a spine that has none', async () => {
    const { json, text } = await predict('none.csv', spine('false'))
    expect(json).toMatchObject({ rows: 0, predictions: 0, refused: 0 })
    expect(text).toContain('Wrote 0 predictions of strict@1')
    expect((await readFile(inFolder('none.csv'), 'utf8')).trim()).toBe('airport,at,out')
    expect((await predict('none.parquet', spine('false'))).json).toMatchObject({ rows: 0 })
  })

  it('counts rows that a server would refuse apart from predictions', async () => {
    const { json, text } = await predict('refused.csv', spine())
    expect(json).toMatchObject({ rows: 2, predictions: 1, refused: 1 })
    expect(text).toContain('Wrote 1 prediction of strict@1')
    expect(text).toContain('note: 1 more row without a prediction, because a required feature is missing')
  })
})

it('rows behind an open transaction are reported with the transaction', async () => {
  const db = await context.database()
  const insert = (delay: number) => `insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-01-01', ${delay})`
  const create = (name: string) => run('dataset', 'create', 'strict', '--spine', spine(), '--out', inFolder(name), '--as-of', 'before')
  const before = await create('before.csv')
  const [created, predicted] = await db.kysely.transaction().execute(async (open) => {
    await sql.raw(insert(1)).execute(open)
    await db.query(insert(2))
    return [await create('held.csv'), await predict('held-predictions.csv', spine())]
  })
  const note = 'note: 1 row of "landings" not read, because an older transaction is still open'
  expect(before.text).not.toContain('not read')
  expect([created.text, predicted.text]).toEqual([expect.stringContaining(note), expect.stringContaining(note)])
  expect(predicted.json).toMatchObject({ heldBackRows: { landings: 1 } })
  const { text } = await run('dataset', 'show', (created.json as { id: string }).id)
  expect(text).toContain('passed over: 1 row of "landings" without a key, 1 row of "landings" behind a transaction that was still open')
})
