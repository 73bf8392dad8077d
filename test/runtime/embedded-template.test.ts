import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { packTemplate, templateFile, unpackTemplate } from '../../runtime/embedded/embedded-template.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'

let folder: string
const at = (name: string): string => join(folder, name)
const template = (): string => at('cache/engine.template')

const files = { PG_VERSION: '18\n', 'base/1/112': 'x'.repeat(50_000), 'base/1/113': '', 'global/pg_control': '\0\u{1}\n\0' }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-template-'))
  for (const path of ['base/1', 'global', 'pg_notify']) await mkdir(at(`made/${path}`), { recursive: true })
  for (const [path, text] of Object.entries(files)) await writeFile(at(`made/${path}`), text)
  packTemplate(template(), at('made'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('has every file and folder of the database that it was made of', async () => {
  await mkdir(at('copy'))
  expect(unpackTemplate(template(), at('copy'))).toBe(true)
  for (const [path, text] of Object.entries(files)) expect(readFileSync(at(`copy/${path}`), 'utf8')).toBe(text)
  expect((await readdir(at('copy'), { recursive: true })).sort()).toEqual((await readdir(at('made'), { recursive: true })).sort())
  expect(await readdir(at('cache'))).toEqual(['engine.template'])
})

it('is not used if it is missing or damaged', async () => {
  const whole = await readFile(template())
  const changed = Buffer.from(whole)
  changed.writeUInt8(whole.readUInt8(whole.indexOf('"crc":') + 6) === 0x31 ? 0x32 : 0x31, whole.indexOf('"crc":') + 6)
  const damages = [whole.subarray(0, whole.length - 9), whole.subarray(0, 20), Buffer.alloc(whole.length), Buffer.alloc(0), changed]
  for (const [i, bytes] of damages.entries()) {
    await writeFile(at('damaged'), bytes)
    expect(unpackTemplate(at('damaged'), at('none')), `damage ${i}`).toBe(false)
  }
  expect(unpackTemplate(at('missing'), at('none'))).toBe(false)
  expect(existsSync(at('none'))).toBe(false)
})

it('is not kept if the cache cannot be written', async () => {
  await writeFile(at('file'), '')
  packTemplate(at('file/engine.template'), at('made'))
  await mkdir(at('taken/engine.template'), { recursive: true })
  packTemplate(at('taken/engine.template'), at('made'))
  expect(await readdir(at('taken'))).toEqual(['engine.template'])
})

it('is kept of the first embedded database of a user, and new ones are copies of it', async () => {
  // other test files may be making the template that they share
  vi.stubEnv('XDG_CACHE_HOME', at('own-cache'))
  const identifiers: unknown[] = []
  try {
    for (const name of ['first', 'second']) {
      const db = await openPglite(at(name))
      identifiers.push((await db.query('select system_identifier::text as id from pg_control_system()'))[0])
      await db.close()
    }
    expect(templateFile()).toMatch(at('own-cache'))
  } finally {
    vi.unstubAllEnvs()
  }
  expect(identifiers[1]).toEqual(identifiers[0])
})
