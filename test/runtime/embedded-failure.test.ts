import { chmodSync, statSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { loadConfig } from '../../runtime/config.ts'
import { embeddedFailure, folderFailure } from '../../runtime/embedded/embedded-failure.ts'
import { openDatabase } from '../../runtime/postgres/open-database.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'
import { failureOf } from './failure-of.ts'

let folder: string
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-broken-'))
  const db = await openPglite(at('whole'))
  await db.script('create table item (id int); insert into item values (1)')
  await db.close()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the folder of the embedded database', () => {
  it('is refused if it is a file, or below one', async () => {
    await writeFile(at('file'), '')
    const open = (directory: string): Promise<unknown> => failureOf(openDatabase(loadConfig({ LOCKSTEP_DIR: directory })))
    const message = (path: string): unknown => expect.stringContaining(`"${path}"`)
    expect(await open(at('file'))).toMatchObject({ code: 'CONFIG_INVALID', message: message(at('file')) })
    expect(await open(at('file/below'))).toMatchObject({ code: 'CONFIG_INVALID', message: message(at('file/below')) })
  })

  it.each([
    ['has lost its version', (path: string) => rm(join(path, 'PG_VERSION'))],
    ['has lost its control file', (path: string) => rm(join(path, 'global/pg_control'))],
    ['has lost its tables', (path: string) => rm(join(path, 'base'), { recursive: true })],
  ])('is reported as damaged if it %s, and is not changed', async (what, damage) => {
    const path = at(what.replaceAll(' ', '-'))
    await cp(at('whole'), path, { recursive: true })
    await damage(path)
    const before = (await readdir(path)).sort()
    const error = await failureOf(openPglite(path))
    expect(error).toMatchObject({ code: 'EMBEDDED_DAMAGED', message: expect.stringContaining(`"${path}"`) as string })
    expect((await readdir(path)).filter((name) => name !== 'postmaster.pid').sort()).toEqual(before)
  })

  it('is recreated if its creation was interrupted, and kept if complete', async () => {
    await mkdir(at('half'))
    await writeFile(at('half/PG_VERSION'), '18\n')
    await writeFile(at('half.unfinished'), '')
    const db = await openPglite(at('half'))
    await db.script('create table item (id int)')
    await db.close()
    const again = await openPglite(at('half'))
    expect(await again.query('select * from item')).toEqual([])
    await again.close()
  })

  it('is closed to other users of the machine, with a warning if it was open', async () => {
    const directory = at('private')
    const told: string[] = []
    const modes = async (): Promise<Set<string>> => {
      await (await openDatabase(loadConfig({ LOCKSTEP_DIR: directory }), { warn: (message) => void told.push(message) })).close()
      await openEmbeddedStore(join(directory, 'online')).close()
      const inside = await readdir(directory, { recursive: true, withFileTypes: true })
      const stats = [statSync(directory), ...inside.map((entry) => statSync(join(entry.parentPath, entry.name)))]
      return new Set(stats.map((stat) => `${stat.isDirectory() ? 'folder' : 'file'} ${(stat.mode & 0o777).toString(8)}`))
    }
    const closed = new Set(['folder 700', 'file 600'])
    expect([await modes(), told]).toEqual([closed, []])
    for (const name of ['.', 'postgres', 'online']) chmodSync(join(directory, name), 0o755)
    chmodSync(join(directory, 'postgres/PG_VERSION'), 0o666)
    chmodSync(join(directory, 'online/states.sqlite'), 0o644)
    expect([await modes(), told]).toEqual([closed, [expect.stringContaining(`"${directory}"`)]])
  })

  it('reports why a transaction failed, not why its rollback failed', async () => {
    const db = await openPglite(at('whole'))
    const failed = failureOf(
      db.snapshot(async (snapshot) => {
        const other = snapshot.tuples('select * from item')[Symbol.asyncIterator]()
        await other.next()
        for await (const batch of snapshot.tuples('select 1 / (id - 1) from item')) expect(batch.starts).toEqual([])
      }),
    )
    expect(await failed).toMatchObject({ code: '22012' })
    await db.close()
  })
})

it('engine and system errors become errors with a code, and SQL errors stay', () => {
  const full = { code: 'WRITE_FAILED', message: expect.stringMatching(/full.*Free some space and run again/) as string }
  expect(embeddedFailure(folder, { name: 'ErrnoError', errno: 51 }, 'opening')).toMatchObject(full)
  expect(embeddedFailure(folder, Object.assign(new Error('could not extend file'), { code: '53100' }), 'running')).toMatchObject(full)
  expect(embeddedFailure(folder, Object.assign(new Error('EACCES: denied'), { code: 'EACCES' }), 'opening')).toMatchObject({
    code: 'WRITE_FAILED',
  })
  expect(embeddedFailure(folder, new Error('Aborted(). Build with more'), 'running')).toMatchObject({
    code: 'INTERNAL',
    message: expect.stringContaining(`"${folder}"`) as string,
  })
  const sql = Object.assign(new Error('division by zero'), { code: '22012' })
  expect(embeddedFailure(folder, sql, 'running')).toBe(sql)
})

describe('the folder of the embedded online store', () => {
  it.each(['', 'short', 'x'.repeat(100_000)])('is refused if its file is not one of SQLite, unless it is empty (%#)', async (text) => {
    const path = await mkdtemp(at('store-'))
    await writeFile(join(path, 'states.sqlite'), text)
    if (text === '') await openEmbeddedStore(path).close()
    else expect(() => openEmbeddedStore(path)).toThrow(expect.objectContaining({ code: 'EMBEDDED_DAMAGED' }))
  })

  it('is reported as damaged if pages of its file are overwritten', async () => {
    const path = await mkdtemp(at('store-'))
    const store = openEmbeddedStore(path)
    const key = { view: 'v@1', entity: 'e', key: 'k' } as const
    await store.write([{ ...key, expected: null, bytes: Buffer.alloc(100_000) }])
    await store.close()
    const bytes = await readFile(join(path, 'states.sqlite'))
    await writeFile(join(path, 'states.sqlite'), bytes.fill('x', 4096))
    const again = openEmbeddedStore(path)
    await expect(again.read([key])).rejects.toMatchObject({ code: 'EMBEDDED_DAMAGED' })
    await again.close()
  })

  it('is reported as full by the code of SQLite', () => {
    const db = new DatabaseSync(':memory:')
    db.exec('PRAGMA max_page_count = 2; CREATE TABLE item (bytes BLOB)')
    let full: unknown
    try {
      db.exec('INSERT INTO item VALUES (zeroblob(10000))')
    } catch (error) {
      full = error
    }
    db.close()
    expect(folderFailure(folder, full)).toMatchObject({ code: 'WRITE_FAILED', message: expect.stringContaining('is full') as string })
  })

  it('is reported as not writable by the code of SQLite', () => {
    const path = at('read-only.sqlite')
    new DatabaseSync(path).close()
    const db = new DatabaseSync(path, { readOnly: true })
    let refused: unknown
    try {
      db.exec('CREATE TABLE item (bytes BLOB)')
    } catch (error) {
      refused = error
    }
    db.close()
    expect(folderFailure(folder, refused)).toMatchObject({
      code: 'WRITE_FAILED',
      message: expect.stringContaining('is not writable') as string,
    })
  })

  it('is reported as deleted or replaced by a process that has it open', async () => {
    const path = at('moved')
    const store = openEmbeddedStore(path)
    await store.identity()
    await rm(path, { recursive: true })
    const gone = { code: 'EMBEDDED_DAMAGED', message: expect.stringContaining('was deleted or replaced') as string }
    const write = { view: 'v@1', entity: 'e', key: 'k', expected: null, bytes: Buffer.from('state') } as const
    await expect(store.write([write])).rejects.toMatchObject(gone)
    const another = openEmbeddedStore(path)
    expect(await another.write([write])).toEqual([true])
    for (const answer of [store.ping(), store.identity(), store.write([write]), store.removeView('v@1')])
      await expect(answer).rejects.toMatchObject(gone)
    expect(await another.read([write])).toEqual([write.bytes])
    await Promise.all([store.close(), another.close()])
  })

  it('is reopened if complete, and refused if it is a file', async () => {
    const store = openEmbeddedStore(at('store'))
    const identity = await store.identity()
    await store.close()
    const again = openEmbeddedStore(at('store'))
    expect(await again.identity()).toBe(identity)
    await again.close()
    await writeFile(at('store-file'), '')
    expect(() => openEmbeddedStore(at('store-file'))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})
