import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRecord } from '../../kernel/is-record.ts'
import { templateNames } from '../../cli/init/templates.ts'
import { writeProject } from '../../cli/init/write-project.ts'
import { followPage } from '../docs/follow-page.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { rootFolder } from '../source-files.ts'
import { commandsWith } from './one-process.ts'
import { killAll } from './run-lockstep.ts'

let root: string
let next = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-init-'))
})
afterAll(async () => {
  killAll()
  await rm(root, { recursive: true, force: true })
})

/** A folder with these files. */
async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(root, `Shop ${(next += 1)}`)
  await mkdir(folder)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

const manifestOf = async (folder: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))

const everything = async (folder: string): Promise<string[]> => (await readdir(folder, { recursive: true })).toSorted()

describe('a project that "init" writes', { timeout: 400_000 }, () => {
  it.each(templateNames)('from the template %s does what its README says', async (template) => {
    const above = await folderWith({})
    const folder = join(above, 'project')
    const { exitCode, out, err } = await commandsWith({}, above)('init', 'project', '--template', template)
    expect([exitCode, err]).toEqual([0, ''])
    expect(out).toContain('  features.ts\n')
    expect(out).toMatch(/Next:\n {2}cd project && npm install\n {2}npx lockstep dev\n$/)
    await mkdir(join(folder, 'node_modules'))
    await symlink(rootFolder, join(folder, 'node_modules/lockstep'))
    const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
    const env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix }
    const answers = await followPage(`templates/${template}/README.md`, folder, env, 'migrate')
    await database.drop()
    const { predictions } = answers.find((each) => isRecord(each) && 'predictions' in each) as {
      predictions: readonly [{ probability: number }]
    }
    expect(predictions[0].probability).toBeGreaterThan(0)
    expect(predictions[0].probability).toBeLessThan(1)
  })
})

describe('"init"', () => {
  it('refuses a folder whose files it would overwrite, names them, and writes nothing', async () => {
    const folder = await folderWith({ 'features.ts': 'mine', 'README.md': 'mine', 'other.ts': '' })
    expect(() => writeProject(folder, 'minimal')).toThrow(
      expect.objectContaining({ code: 'FILE_EXISTS', message: expect.stringContaining('already has "README.md", "features.ts"') }),
    )
    expect(await everything(folder)).toEqual(['README.md', 'features.ts', 'other.ts'])
  })

  it('adds to package.json and .gitignore only what is missing', async () => {
    const own = { name: 'mine', scripts: { dev: 'vite' }, dependencies: { lockstep: 'file:../lockstep-0.1.0.tgz' } }
    const folder = await folderWith({ 'package.json': JSON.stringify(own), '.gitignore': 'dist\n.env\n/node_modules/' })
    writeProject(folder, 'minimal')
    expect(await manifestOf(folder)).toMatchObject({
      name: 'mine',
      type: 'module',
      scripts: { dev: 'vite', typecheck: 'tsc' },
      dependencies: own.dependencies,
    })
    const lines = (await readFile(join(folder, '.gitignore'), 'utf8')).split('\n')
    expect(lines.slice(0, 3)).toEqual(['dist', '.env', '/node_modules/'])
    expect(lines.filter((line) => line === '.env')).toHaveLength(1)
    expect(lines).toContain('.lockstep')
  })

  it('names the package after the folder, and depends on the lockstep that runs', async () => {
    const folder = await folderWith({})
    writeProject(folder, 'minimal')
    const { name, dependencies } = (await manifestOf(folder)) as { name: string; dependencies: { lockstep: string } }
    expect(name).toMatch(/^shop-\d+$/)
    expect(join(folder, dependencies.lockstep.replace(/^file:/, ''))).toBe(rootFolder)
  })

  it.each([
    ['{ "type": "commonjs" }', 'FILE_EXISTS', 'npm pkg set type=module'],
    ['{ "name": ', 'FILE_UNREADABLE', 'is not JSON'],
    ['["mine"]', 'FILE_UNREADABLE', 'it is no object'],
  ])('refuses a folder with the package.json %s, and says what to do', async (text, code, message) => {
    const folder = await folderWith({ 'package.json': text })
    expect(() => writeProject(folder, 'minimal')).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }))
    expect(await everything(folder)).toEqual(['package.json'])
  })

  it('leaves the folder as it was if it cannot write everything', async () => {
    const own = '{ "name": "mine" }'
    // a file in the place of a folder, late in the list of files
    const folder = await folderWith({ 'package.json': own, models: '' })
    expect(() => writeProject(folder, 'minimal')).toThrow(expect.objectContaining({ code: 'WRITE_FAILED' }))
    expect(await everything(folder)).toEqual(['models', 'package.json'])
    expect(await readFile(join(folder, 'package.json'), 'utf8')).toBe(own)
    const missing = join(folder, 'models', 'below')
    expect(() => writeProject(missing, 'minimal')).toThrow(expect.objectContaining({ code: 'WRITE_FAILED' }))
  })
})
