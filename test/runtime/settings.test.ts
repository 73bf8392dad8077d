import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { storesNotice } from '../../cli/stores-notice.ts'
import type { Settings } from '../../runtime/config.ts'
import { loadSettings, readSecret } from '../../runtime/config.ts'
import { rootFolder } from '../source-files.ts'

let root: string
let next = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-settings-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

/** A folder with these files: a process imports each configuration file only once. */
async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(root, String((next += 1)))
  await mkdir(folder)
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

async function settings(files: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv = {}): Promise<Settings> {
  return await loadSettings(await folderWith(files), env)
}

const config = (object: string): string => `
  import { defineConfig } from ${JSON.stringify(join(rootFolder, 'index.ts'))}
  export default defineConfig(${object})`

describe('settings', () => {
  it('come from the environment, then .env, then the configuration file', async () => {
    const files = {
      '.env': 'LOCKSTEP_PORT=2\nexport LOCKSTEP_HOST="two" # of this machine\n',
      'lockstep.config.ts': config("{ port: 3, host: 'three', staleMb: 3, corsOrigins: ['https://a.example', 'https://b.example'] }"),
    }
    const { config: read, origins } = await settings(files, { LOCKSTEP_PORT: '1' })
    expect(read).toMatchObject({ port: 1, host: 'two', staleMegabytes: 3, corsOrigins: ['https://a.example', 'https://b.example'] })
    expect(read.staleSeconds).toBe(0)
    expect(Object.fromEntries(origins)).toEqual({
      LOCKSTEP_PORT: 'environment',
      LOCKSTEP_HOST: '.env',
      LOCKSTEP_STALE_MB: 'lockstep.config.ts',
      LOCKSTEP_CORS_ORIGINS: 'lockstep.config.ts',
    })
  })

  it('that are empty hide those in the places below', async () => {
    const { config: read, origins } = await settings({ '.env': 'LOCKSTEP_REDIS_URL=redis://cache' }, { LOCKSTEP_REDIS_URL: '' })
    expect([read.redisUrl, origins.size]).toEqual([null, 0])
  })

  it('leave other variables of .env in the environment, unless it has them already', async () => {
    const env: NodeJS.ProcessEnv = { KIND: 'own' }
    await settings({ '.env': 'PLACE=postgres://file/a\nKIND=postgres://file/b\n' }, env)
    expect(env).toEqual({ KIND: 'own', PLACE: 'postgres://file/a' })
  })

  it.each([
    [{ '.env': 'LOCKSTEP_PORTT=1' }, '"LOCKSTEP_PORTT" (.env) is not a setting (did you mean "LOCKSTEP_PORT"?)'],
    [{ '.env': 'LOCKSTPE_PORT=1' }, '"LOCKSTPE_PORT" (.env) is not a setting (did you mean "LOCKSTEP_PORT"?)'],
    [{ '.env': 'LOCKSTEP_PORT=x' }, '"LOCKSTEP_PORT" (.env) is "x"; it must be a whole number from 0 to 65535'],
    [{ '.env': '# first\nLOCKSTEP_PORT 8081' }, /Line 2 of ".*\.env" has no "="/],
    [
      { 'lockstep.config.js': 'export default { postgressUrl: "x" }' },
      '"postgressUrl" (lockstep.config.js) is not a setting (did you mean "postgresUrl"?)',
    ],
    [{ 'lockstep.config.js': 'export default { port: 8.5 }' }, '"port" (lockstep.config.js) is "8.5"; it must be a whole number'],
    [{ 'lockstep.config.js': 'export default { port: { a: 1 } }' }, '"port" (lockstep.config.js) must be a text, a number, or a list'],
    [{ 'lockstep.config.js': 'export default Promise.resolve({ port: 1 })' }, /lockstep\.config\.js" exports no configuration/],
    [{ '.env': '\uFEFFLOCKSTEP_PORT=x' }, '"LOCKSTEP_PORT" (.env) is "x"; it must be a whole number'],
    [{ 'lockstep.config.js': 'export const port = 1' }, /lockstep\.config\.js" exports no configuration/],
    [{ 'lockstep.config.mjs': '\nthrow new Error("no disk")' }, /could not be run: no disk \(.*lockstep\.config\.mjs:2\)/],
    [
      { 'lockstep.config.js': 'export default {}', 'lockstep.config.ts': 'export default {}' },
      /There are "lockstep.config.ts" and "lockstep.config.js" in .*\. Keep one/,
    ],
  ])('of %j are refused, and the message names the place', async (files, message) => {
    await expect(settings({ 'package.json': '{ "type": "module" }', ...files })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
    })
  })
})

describe('secrets in files', () => {
  const key = 'k'.repeat(32)

  it('are read without the line break at their end, where no place above names the setting', async () => {
    const folder = await folderWith({ key: `${key}\r\n`, cache: 'redis://:hush@cache' })
    const [file, cache] = [join(folder, 'key'), join(folder, 'cache')]
    const files = { '.env': `LOCKSTEP_SIGNING_KEY_FILE=/missing\nLOCKSTEP_REDIS_URL_FILE=${cache}\nLOCKSTEP_NATS_URL_FILE=/missing` }
    const env = { LOCKSTEP_SIGNING_KEY: '', LOCKSTEP_SIGNING_KEY_FILE: file, LOCKSTEP_NATS_URL_FILE: '' }
    const { config: read, origins } = await settings(files, env)
    expect(read).toMatchObject({ signingKeys: [key], redisUrl: 'redis://:hush@cache', natsUrl: null })
    expect(Object.fromEntries(origins)).toEqual({ LOCKSTEP_SIGNING_KEY: file, LOCKSTEP_REDIS_URL: cache })
  })

  it('that are missing, empty, wrong, or set beside their text are refused', async () => {
    const folder = await folderWith({ empty: '\n', wrong: 'mysql://u:hush@h/d' })
    const [empty, wrong] = [join(folder, 'empty'), join(folder, 'wrong')]
    const refused = settings(
      {},
      {
        LOCKSTEP_API_KEY_FILE: '/missing/key',
        LOCKSTEP_NATS_URL_FILE: empty,
        LOCKSTEP_POSTGRES_URL_FILE: wrong,
        LOCKSTEP_REDIS_URL: 'redis://:hush@cache',
        LOCKSTEP_REDIS_URL_FILE: wrong,
        LOCKSTEP_PORT_FILE: wrong,
      },
    )
    const message = await refused.catch(String)
    for (const problem of [
      '"LOCKSTEP_API_KEY_FILE" names the file "/missing/key", which cannot be read: there is no such file or folder;',
      `"LOCKSTEP_NATS_URL_FILE" names the file "${empty}", which is empty;`,
      `"LOCKSTEP_POSTGRES_URL" (${wrong}) is something else (not shown: it may hold a secret); it must be a URL such as postgres://`,
      '"LOCKSTEP_REDIS_URL" and "LOCKSTEP_REDIS_URL_FILE" are both set; set one of them;',
      '"LOCKSTEP_PORT_FILE" is not a setting (docs/configuration.md lists them)',
    ])
      expect(message).toContain(problem)
    expect(message).not.toContain('hush')
  })

  it('may hold what a definition names, but no setting', async () => {
    const folder = await folderWith({ hook: 'hush\n' })
    vi.stubEnv('HOOK_SECRET_FILE', join(folder, 'hook'))
    vi.stubEnv('LOCKSTEP_API_KEY_FILE', join(folder, 'hook'))
    expect([readSecret('HOOK_SECRET'), readSecret('LOCKSTEP_API_KEY'), readSecret('OTHER_SECRET')]).toEqual(['hush', null, null])
    vi.stubEnv('HOOK_SECRET_FILE', '/missing/hook')
    expect(() => readSecret('HOOK_SECRET')).toThrow('"HOOK_SECRET_FILE" names the file "/missing/hook", which cannot be read')
    vi.unstubAllEnvs()
  })
})

describe('the lines that name the stores', () => {
  const notice = async (env: NodeJS.ProcessEnv, folder = root) => storesNotice(await loadSettings(folder, env), folder)

  it('are absent where both stores are embedded or on this machine', async () => {
    const none = { database: null, store: null }
    expect(await notice({})).toEqual(none)
    expect(await notice({ LOCKSTEP_POSTGRES_URL: 'postgres://u:hush@localhost/a', LOCKSTEP_REDIS_URL: 'redis://127.0.0.1:6380' })).toEqual(
      none,
    )
    expect(await notice({ LOCKSTEP_POSTGRES_URL: 'postgres:///a?host=/run/postgresql', LOCKSTEP_REDIS_URL: 'redis://[::1]' })).toEqual(none)
  })

  it('name stores on other machines, with the setting, and no password', async () => {
    const folder = await folderWith({ '.env': 'LOCKSTEP_POSTGRES_URL=postgres://u:hush@db.example/shop\n' })
    expect(await notice({ LOCKSTEP_REDIS_URL: 'redis://:hush@cache.example' }, folder)).toEqual({
      database: 'Database: "shop" at db.example:5432 (LOCKSTEP_POSTGRES_URL in .env).',
      store: 'Online store: Redis at cache.example:6379 (LOCKSTEP_REDIS_URL).',
    })
  })

  it('name what is embedded where the other is not', async () => {
    const directory = join(process.cwd(), '.lockstep')
    expect(await notice({ LOCKSTEP_REDIS_URL: 'redis://localhost' })).toEqual({
      database: `Database: embedded in "${directory}"; LOCKSTEP_POSTGRES_URL is not set.`,
      store: null,
    })
    expect(await notice({ LOCKSTEP_POSTGRES_URL: 'postgres://localhost/a' })).toEqual({
      database: null,
      store: `Online store: embedded in "${directory}"; LOCKSTEP_REDIS_URL is not set.`,
    })
  })

  it('name what is not read: variables of other programs, and files of folders above', async () => {
    const other = await notice({ DATABASE_URL: 'postgres://u:hush@db/a' })
    expect(other.database).toMatch(/; DATABASE_URL is not read, LOCKSTEP_POSTGRES_URL is\.$/)
    const folder = await folderWith({ 'lockstep.config.mjs': 'export default {}' })
    await mkdir(join(folder, 'below'))
    const below = await notice({}, join(folder, 'below'))
    expect(below.database).toContain(`; "${join(folder, 'lockstep.config.mjs')}" is not read, because`)
  })
})
