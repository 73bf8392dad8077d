import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { commandsWith } from '../cli/one-process.ts'
import { rootFolder } from '../source-files.ts'
import { documentedCommands } from './documented.ts'
import { fencedBlocks } from './fenced-blocks.ts'

// docs/forecasting.md in an empty folder, with the embedded stores.

const page = 'docs/forecasting.md'
const shown = 'train.csv'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-forecasting-page-'))
  await mkdir(join(folder, 'node_modules'))
  await symlink(rootFolder, join(folder, 'node_modules/lockstep'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
})

afterAll(() => rm(folder, { recursive: true, force: true }))

it('the commands of docs/forecasting.md write the training set that it shows', { timeout: 300_000 }, async () => {
  const lockstep = commandsWith({}, folder)
  const blocks = fencedBlocks(await readFile(join(rootFolder, page), 'utf8'))
  const files = new Map(blocks.flatMap(({ title, text }) => (title === null ? [] : [[title, text] as const])))
  for (const [name, text] of files) if (name !== shown) await writeFile(join(folder, name), text)
  const [, lags = ''] = blocks.filter(({ language }) => language === 'ts').map(({ text }) => text)
  await writeFile(join(folder, 'lags.ts'), lagged(lags))
  for (const { words, text } of documentedCommands(page)) {
    const { exitCode, err } = await lockstep(...words.slice(1))
    expect(exitCode, `${text}: ${err}`).toBe(0)
  }
  expect(await readLines(shown)).toEqual(files.get(shown)?.trimEnd().split('\n'))

  expect(await lockstep('apply', 'lags.ts')).toMatchObject({ exitCode: 0 })
  const create = ['dataset', 'create', 'lag_features', '--spine', 'later.csv', '--time', 'at', '--out', 'lags.csv']
  await writeFile(join(folder, 'later.csv'), later)
  expect(await lockstep(...create)).toMatchObject({ exitCode: 0 })
  const expected = ['7', '16', '8', ''].map((units, i) => `${later.split('\n')[i + 1]},${units}`)
  expect((await readLines('lags.csv')).slice(1)).toEqual(expected)
})

const readLines = async (name: string): Promise<string[]> => (await readFile(join(folder, name), 'utf8')).trimEnd().split('\r\n')

const later = `store,item,day,at
s1,bread,2026-02-25,2026-02-24T23:00:00Z
s1,bread,2026-02-26,2026-02-25T23:00:00Z
s1,bread,2026-03-04,2026-03-03T23:00:00Z
s1,bread,2026-03-05,2026-03-04T23:00:00Z
`

/** The definitions of lags in a file of their own, with a service. */
function lagged(text: string): string {
  return `import { featureService, featureView, lastN, onDemandView, t } from 'lockstep'
import { sales, recent } from './demand.ts'
const { entity: storeItem } = recent
${text}
export const lagFeatures = featureService('lag_features', { version: 1, features: [lags] })
`
}
