import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'

const features = `import { entity, featureService, featureView, last, mean, model, onDemandView, source, t } from 'lockstep'
import { delays, landings } from './views.ts'

export const context = onDemandView('context', {
  version: 1,
  request: { distance: t.int32 },
  inputs: { origin: delays },
  features: { far: t.int32 },
  transform: ({ request, origin }) => ({ far: (origin.last ?? 0) > request.distance ? 1 : 0 }),
})
export const all = featureService('all', { version: /* of the service */ 1, features: [delays, context] })
export const delay = model('delay', { service: all, output: { p: t.float32 } })
`
const views = `import { entity, featureView, last, mean, source, t } from 'lockstep'
import { late } from './late.ts'

export const airport = entity('airport', { key: { airport: t.string } })
export const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
// é, so that bytes and characters differ
export const delays = featureView('delays', {
  version: 1, entity: airport, source: landings,
  derive: { late: t.int32 },
  transform: (row) => ({ late: late(row.delay) }),
  features: { last: last('delay'), lates: mean('late', '6h') },
})`
const late = 'export const late = (delay: number | null): number => (delay !== null && delay > 15 ? 1 : 0)\n'

let folder: string
let url: string
let drop: () => Promise<void>
let copies = 0
const complaints: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-plan-'))
  const database = await testDatabase()
  ;[url, drop] = [database.url, database.drop]
})
afterAll(async () => {
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

async function run(...words: readonly string[]): Promise<Outcome> {
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  const context = createContext(
    config,
    createTerminal(false, { out: { write: () => true }, err: { isTTY: false, write: (text) => complaints.push(text) } }),
    new AbortController().signal,
  )
  return await withContext(context, async () => (await prepare(words))(context))
}

/** A process imports a file only once, so each state of the files has a folder of its own. */
function files(changed: Readonly<Record<string, string>> = {}): string {
  return definitionFiles({ 'features.ts': features, 'views.ts': views, 'late.ts': late, ...changed })
}

const textOf = (at: string, name: string): string => readFileSync(join(at, name), 'utf8')

function again(from: string): string {
  const to = `${from}-${copies++}`
  cpSync(from, to, { recursive: true })
  return to
}

it('plan --bump raises a changed view and all that depends on it, in all files', async () => {
  await run('apply', join(files(), 'features.ts'))
  const at = files({ 'late.ts': late.replace('15', '20') })
  const refused = await run('plan', join(at, 'features.ts'))
  expect(refused.exitCode).toBe(1)
  expect(refused.text).toMatch(/! feature view delays@1 +transform changed: \S*views\.ts:10\n/)
  expect(refused.text).toMatch(/! on-demand view context@1 +uses delays@1\n *! feature service all@1 +uses delays@1; uses context@1\n/)
  expect(refused.text).toMatch(/Next: lockstep plan \S+features\.ts --bump --write$/)

  const [featuresBefore, viewsBefore] = [textOf(at, 'features.ts'), textOf(at, 'views.ts')]
  const printed = await run('plan', join(at, 'features.ts'), '--bump')
  const json = printed.json as { folder: string; patch: string }
  expect([textOf(at, 'features.ts'), textOf(at, 'views.ts')]).toEqual([featuresBefore, viewsBefore])
  expect(complaints).toEqual([`Apply the patch in ${json.folder}.\n`])
  const patched = again(at)
  execFileSync('git', ['apply', '-p1', '-'], {
    cwd: json.folder,
    stdio: 'pipe',
    input: `${json.patch.replaceAll(at.slice(json.folder.length), patched.slice(json.folder.length))}\n`,
  })

  const written = await run('plan', join(at, 'features.ts'), '--bump', '--write')
  expect(written.text).toMatch(/^Raised 3 versions in 2 files:\n {2}feature view delays 1 → 2 \(\S+views\.ts:8\)\n/)
  expect(textOf(at, 'features.ts')).toBe(featuresBefore.replace('version: 1,', 'version: 2,').replace('service */ 1', 'service */ 2'))
  expect(textOf(at, 'views.ts')).toBe(viewsBefore.replace('version: 1', 'version: 2'))
  for (const name of ['features.ts', 'views.ts']) expect(textOf(patched, name)).toBe(textOf(at, name))

  const clean = await run('plan', join(patched, 'features.ts'))
  expect([clean.exitCode, clean.text]).toEqual([0, expect.stringContaining('Plan for')])
  expect(clean.text).toMatch(/3 added, 1 changed, 2 unchanged, 3 in the registry only/)
  expect((await run('plan', join(patched, 'features.ts'), '--bump', '--write')).text).toBe(
    'No version has to be raised: nothing changed under a version that exists.',
  )
  expect((await run('apply', join(patched, 'features.ts'))).text).toContain('Applied')
  const same = await run('apply', join(patched, 'features.ts'))
  expect(same.text).toMatch(/^Nothing to apply from .*: 6 unchanged, 3 in the registry only\. The registry is at revision 2\.$/)
})

it('plan --bump takes the next free version, and names versions that it cannot raise', async () => {
  const more = (ttl: string): string => `
const next = 1
const base = { version: 1, entity: airport, source: landings } as const
const make = (name: string) => featureView(name, { version: 1, entity: airport, source: landings, features: { n: last('delay'${ttl}) } })
export const one = featureView('one', { version: next, entity: airport, source: landings, features: { n: last('delay'${ttl}) } })
export const two = featureView('two', { entity: airport, source: landings, version: next, features: { n: last('delay'${ttl}) } })
export const three = featureView('three', { ...base, features: { n: last('delay'${ttl}) } })
export const four = featureView('four', { ...base, features: { n: last('delay') } })
export const five = make('five')`
  const all = (text: string): string => join(files({ 'views.ts': text, 'features.ts': `export * from './views.ts'` }), 'features.ts')
  // the registry has delays@1 and delays@2 by now
  const base = views.replace("mean('late', '6h')", "mean('late', '12h')")
  await run('apply', all(base.replace('version: 1', 'version: 3') + more('')))
  const file = all(base + more(`, { ttl: '1d' }`))
  const { text, json, exitCode } = await run('plan', file, '--bump', '--write')
  expect(exitCode).toBe(1)
  expect(text.replaceAll(/\(\S+views/g, '(views').split('\n')).toEqual([
    'Raised 3 versions in 1 file:',
    '  feature view delays 1 → 4 (views.ts:8)',
    '  feature view one 1 → 2 (views.ts:13)',
    '  feature view two 1 → 2 (views.ts:13)',
    expect.stringContaining('2 versions cannot be raised for you: shared with an unchanged definition'),
    '  feature view five 1 → 2 (views.ts:15, now "1")',
    '  feature view three 1 → 2 (views.ts:14, now "1")',
    expect.stringContaining('Next: lockstep plan'),
  ])
  expect(json).toMatchObject({ written: true, bumps: [true, false, true, false, true].map((isEditable) => ({ isEditable })) })
  const at = dirname(file)
  const edited = textOf(at, 'views.ts').replace(
    "...base, features: { n: last('delay', ",
    "...base, version: 2, features: { n: last('delay', ",
  )
  expect(edited).toContain('const next = 2\nconst base = { version: 1,')
  writeFileSync(join(at, 'views.ts'), edited.replace('featureView(name, { version: 1', 'featureView(name, { version: 2'))
  expect((await run('plan', join(again(at), 'features.ts'))).exitCode).toBe(0)
})

it('plan --exit-code tells changes, no changes and a refused file apart', async () => {
  const gates = `import { entity, featureView, last, source, t } from 'lockstep'
export const gate = entity('gate', { key: { gate: t.string } })
export const closings = source('closings', { key: { gate: 'gate' }, eventTime: 'at', columns: { delay: t.float64 } })
export const waits = featureView('waits', { version: 1, entity: gate, source: closings, features: { last: last('delay') } })
`
  const codes = async (file: string, ...options: readonly string[]): Promise<unknown[]> => [
    (await run('plan', file, ...options)).exitCode,
    (await run('plan', file, '--exit-code', ...options)).exitCode,
  ]
  const file = (text: string): string => join(definitionFiles({ 'features.ts': text }), 'features.ts')
  const same = file(gates)
  expect(await codes(same)).toEqual([0, 3])
  await run('apply', same)
  expect(await codes(same)).toEqual([0, 0])
  expect(await codes(file(gates.replace("entity('gate', {", "entity('gate', { description: 'a door', ")))).toEqual([0, 3])
  expect(await codes(file(gates.replace("last('delay')", "last('delay', { ttl: '1d' })")))).toEqual([1, 1])

  // what the file lacks stays, unless it is pruned
  const less = file(gates.replace(/^export const waits .*$/m, ''))
  expect(await codes(less)).toEqual([0, 0])
  expect(await codes(less, '--prune')).toEqual([0, 3])
  await expect(run('plan', same, '--exit-code', '--bump')).rejects.toThrow('Use "--exit-code" or "--bump", and not both')
})
