import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'

const definitions = (views: string): string => `
  import { entity, featureView, last, source, t } from 'lockstep'
  export const thing = entity('thing', { key: { thing: t.string } })
  export const rows = source('rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
  ${views}`
const view = (name: string, online: boolean): string =>
  `export const ${name} = featureView('${name}', { version: 1, entity: thing, source: rows, online: ${online}, features: { x: last('x') } })\n`

const files = definitionFiles({
  'both.ts': definitions(view('stays', true) + view('goes', true)),
  'one.ts': definitions(view('stays', true)),
  'offline.ts': definitions(view('stays', false)),
  'rows.jsonl': '{"thing": "a", "at": "2026-03-01T09:30:00Z", "x": 1}\n{"thing": "b", "at": "2026-03-01T09:30:00Z", "x": 2}\n',
})
let folder: string
let url: string
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-retire-'))
  const database = await testDatabase()
  ;[url, drop] = [database.url, database.drop]
})

afterAll(async () => {
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

/** A command as in a process of its own. */
async function run(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent', ...env })
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => (await prepare(words))(context))
}
const apply = (file: string, ...options: readonly string[]) => run(['apply', join(files, file), ...options])
const materialize = async (name: string) => (await run(['materialize', name])).json as { views: { rows: number }[] }

it('retiring a view deletes its online data before the view can return', async () => {
  await apply('both.ts')
  await run(['ingest', 'rows', join(files, 'rows.jsonl')])
  for (const name of ['stays', 'goes']) expect((await materialize(name)).views[0]?.rows).toBe(2)

  const away = { LOCKSTEP_REDIS_URL: 'redis://127.0.0.1:1' }
  await expect(run(['apply', join(files, 'one.ts'), '--prune'], away)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  expect((await materialize('goes')).views[0]?.rows).toBe(0)

  const pruned = await apply('one.ts', '--prune')
  expect(pruned.json).toMatchObject({ removed: [{ view: 'goes@1', removed: 3 }], removing: [] })
  expect(pruned.text).toContain('Deleted goes@1 from the online store: 3 keys.')
  await expect(run(['apply', join(files, 'both.ts')], away)).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  await expect(materialize('goes')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  await apply('both.ts')
  expect((await materialize('goes')).views[0]?.rows).toBe(2)
  expect((await materialize('stays')).views[0]?.rows).toBe(0)

  // one that is offline for a while keeps its states, and does not serve them again
  await apply('offline.ts')
  await apply('both.ts')
  expect((await materialize('stays')).views[0]?.rows).toBe(2)
  expect((await materialize('goes')).views[0]?.rows).toBe(0)
})
