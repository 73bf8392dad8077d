import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll } from './run-lockstep.ts'

const definitions = `import { count, entity, featureService, featureView, last, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: airport, source: landings, features: { last: last('delay', { required: true }), n: count('1d') } })
export const all = featureService('all', { version: 1, features: [delays] })
`
const minute = (n: number): string => new Date(Date.UTC(2001, 0, 1, 0, n)).toISOString()

describe('the verbs of training sets', () => {
  let env: Environment
  let folder: string
  let drop: () => Promise<void>
  const inFolder = (name: string): string => join(folder, name)
  const linesOf = async (name: string): Promise<string[]> => (await readFile(inFolder(name), 'utf8')).trim().split(/\r?\n/)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-dataset-verbs-'))
    const database = await testDatabase()
    drop = database.drop
    env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_DIR: inFolder('.lockstep') }
    await must(env, 'apply', join(definitionFiles({ 'all.ts': definitions }), 'all.ts'))
    const rows = Array.from({ length: 40 }, (_, n) => `${n % 2 === 0 ? 'ATL' : 'ORD'},${minute(n)},${n}\n`)
    await writeFile(inFolder('rows.csv'), `airport,at,delay\n${rows.join('')}`)
    await must(env, 'ingest', 'landings', inFolder('rows.csv'))
    const spine = Array.from({ length: 40 }, (_, n) => `${n % 4 === 3 ? 'XXX' : 'ATL'},${minute(n)},${n}\n`)
    await writeFile(inFolder('spine.csv'), `airport,timestamp,label\n${spine.join('')}`)
  })
  afterAll(async () => {
    killAll()
    await drop?.()
    await rm(folder, { recursive: true, force: true })
  })

  it('write, show and verify a sample of complete rows, split, as JSON lines', async () => {
    const options = [
      '--sample',
      '0.8',
      '--seed',
      '7',
      '--drop-incomplete',
      '--known-before',
      minute(10),
      '--split',
      `${minute(20)},${minute(30)}`,
    ]
    const words = ['dataset', 'create', 'all', '--spine', inFolder('spine.csv'), '--out', inFolder('set.jsonl'), ...options]
    const { code, out } = await lockstep(env, ...words)
    expect(code).toBe(0)
    expect(out).toMatch(/^Wrote \d+ rows with 2 features of all@1 to 3 files \(/)
    expect(out).not.toContain('set.jsonl (')
    expect(out).toMatch(
      /\ntrain: \d+ rows in .*set\.train\.jsonl\nvalidation: .*\ntest: .*\nnote: \d+ rows without the required feature "last", left out\n/,
    )
    const files = ['set.train.jsonl', 'set.validation.jsonl', 'set.test.jsonl']
    expect((await readdir(folder)).filter((name) => name.startsWith('set.')).toSorted()).toEqual(
      ['set.jsonl.manifest.json', ...files].toSorted(),
    )
    const parts = await Promise.all(files.map(linesOf))
    const rows = parts.map((lines) => lines.map((line) => JSON.parse(line) as Record<string, unknown>))
    expect(rows.map(([first]) => Object.keys(first ?? {}))).toEqual(files.map(() => ['airport', 'timestamp', 'label', 'last', 'n']))
    expect(rows.at(-1)?.every((row) => row['last'] === 8 && row['n'] === 5)).toBe(true)
    const manifest = JSON.parse(await readFile(inFolder('set.jsonl.manifest.json'), 'utf8')) as { readonly id: string }
    const shown = await lockstep(env, 'dataset', 'show', manifest.id)
    for (const text of ['(a sample of 0.8, seed 7)', `known before ${minute(10).slice(0, 19)}Z`, 'set.test.jsonl', 'mean ', '"ATL" 100 %'])
      expect(shown.out).toContain(text)
    const listed = await must(env, 'dataset', 'list')
    expect(listed.datasets).toMatchObject([{ id: manifest.id, rows: parts.flat().length, paths: files.map(inFolder) }])
    const text = (await lockstep(env, 'dataset', 'list')).out
    expect([text.includes(files.map(inFolder).join(', ')), text.includes('set.jsonl')]).toEqual([true, false])
    const verified = await lockstep(env, 'dataset', 'verify', manifest.id.slice(0, 8))
    expect(verified).toMatchObject({ code: 0, out: expect.stringContaining('matches its manifest, and so do its files') })
    await rm(inFolder('set.test.jsonl'))
    const gone = await lockstep(env, 'dataset', 'verify', manifest.id, '--json')
    expect(gone.code).toBe(1)
    expect(gone.json).toMatchObject({ equal: false, files: [{ state: 'same' }, { state: 'same' }, { state: 'gone' }] })
  })

  it("write a view's own rows", async () => {
    const words = [
      'dataset',
      'create',
      'all',
      '--rows-of',
      'delays',
      '--from',
      minute(10),
      '--to',
      minute(14),
      '--out',
      inFolder('own.csv'),
    ]
    expect((await must(env, ...words)).file.rows).toBe(4)
    const time = (n: number): string => minute(n).replace('.000', '')
    expect(await linesOf('own.csv')).toEqual([
      'airport,event_timestamp,last,n',
      `ATL,${time(10)},10,6`,
      `ATL,${time(12)},12,7`,
      `ORD,${time(11)},11,6`,
      `ORD,${time(13)},13,7`,
    ])
  })

  it.each([
    [['--seed', '1'], '"--seed"'],
    [['--sample', '1.5'], '"--sample" is "1.5"'],
    [['--sample', 'half'], '"--sample" is "half"'],
    [['--rows-of', 'delays'], '--rows-of VIEW'],
    [['--from', '2001-01-01'], '--from TIME'],
    [['--split', '2001-01-02,2001-01-01'], 'in order'],
    [['--known-before', '2200-01-01'], 'in the future'],
  ])('refuse %s', async (options, message) => {
    const { code, err } = await lockstep(
      env,
      'dataset',
      'create',
      'all',
      '--spine',
      inFolder('spine.csv'),
      '--out',
      inFolder('no.csv'),
      ...options,
    )
    expect(code).toBe(options.includes('--known-before') ? 1 : 2)
    expect(err).toContain(message)
  })
})
