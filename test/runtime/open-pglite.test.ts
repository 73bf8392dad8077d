import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { copyHeader, copyTrailer } from '../../runtime/postgres/copy-pieces.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { databaseContract } from './database-contract.ts'
import { textRows, tupleOf } from './tuples.ts'

databaseContract('PGlite', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-pglite-'))
  const db = await openPglite(directory)
  return {
    db,
    close: async () => {
      await db.close()
      await rm(directory, { recursive: true })
    },
  }
})

describe('PGlite', () => {
  let directory: string
  beforeAll(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'lockstep-pglite-')), 'not', 'there', 'yet')
  })
  afterAll(() => rm(join(directory, '../../..'), { recursive: true }))

  it('says that writes wait while it reads for long', async () => {
    const db = await openPglite(join(directory, '../long'))
    try {
      vi.useFakeTimers({ toFake: ['performance'] })
      await db.snapshot(async () => {
        expect(db.obstacle?.()).toBeNull()
        vi.advanceTimersByTime(6_000)
        expect(db.obstacle?.()).toContain('writes wait until it is done.')
      })
      expect(db.obstacle?.()).toBeNull()
    } finally {
      vi.useRealTimers()
      await db.close()
    }
  })

  it('lets others read until all long reads have ended, and then writes', async () => {
    const db = await openPglite(join(directory, '../shared'))
    try {
      await db.script('create table item (id int)')
      const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const begun = Promise.withResolvers<void>()
      const reads = [
        db.snapshot(async () => {
          begun.resolve()
          await first.promise
        }),
        begun.promise.then(() => db.snapshot(() => second.promise)),
      ]
      await begun.promise
      const write = db.query('insert into item values (1)')
      first.resolve()
      await reads[0]
      // the second one is of the same snapshot, and no third one joins it
      const later = db.snapshot((snapshot) => snapshot.query('select id from item'))
      expect(await db.query('select id from item')).toEqual([])
      const reading = db.kysely.transaction().setAccessMode('read only')
      expect((await reading.execute((transaction) => sql`select id from item`.execute(transaction))).rows).toEqual([])
      second.resolve()
      await write
      expect(await later).toEqual([{ id: 1 }])
      await reads[1]

      // a SELECT that notifies is no part of a snapshot that may fail
      const heard = Promise.withResolvers<string>()
      await db.listen('noted', (text) => text !== null && heard.resolve(text))
      let notice: Promise<unknown> = Promise.resolve()
      const failing = db.snapshot(async () => {
        notice = db.query(`select pg_notify('noted', 'done')`)
        await db.ping()
        throw new Error('it fails')
      })
      await expect(failing).rejects.toThrow('it fails')
      await notice
      expect(await heard.promise).toBe('done')
    } finally {
      await db.close()
    }
  })

  it('keeps all commits when its process is killed, and copies all chunks or none', async () => {
    const child = spawn(process.execPath, [programFile('test/runtime/pglite-process'), directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(line.toString()).toBe('committed\n')

    const db = await openPglite(directory)
    try {
      expect(await db.query('select count(*)::int as rows from kept')).toEqual([{ rows: 1000 }])

      // 30 MB, cut between rows where the pieces end
      const rows = Array.from({ length: 3_000 }, (_, i) =>
        tupleOf([Buffer.from(`${i}`), i === 1_500 ? null : Buffer.alloc(10_000, (i % 26) + 97)]),
      )
      async function* chunks(last: Buffer) {
        yield copyHeader
        for (let at = 0; at < rows.length; at += 7) yield Buffer.concat(rows.slice(at, at + 7))
        yield last
      }
      await db.script('create table wide (id text, body text)')
      const copy = 'copy wide from stdin (format binary)'
      const wrong = db.copyIn(copy, chunks(tupleOf([Buffer.from('too few')])))
      await expect(wrong).rejects.toMatchObject({ code: '22P04' })
      expect(await db.query('select count(*)::int as rows from wide')).toEqual([{ rows: 0 }])

      expect(await db.copyIn(copy, chunks(copyTrailer))).toBe(3_000)
      const found = await db.snapshot((snapshot) => textRows(snapshot, 'select id, md5(body) from wide order by id::int'))
      expect(found.map(([id]) => id)).toEqual(rows.map((_, i) => `${i}`))
      expect(await db.query('select count(distinct md5(body))::int as bodies, count(body)::int as present from wide')).toEqual([
        { bodies: 26, present: 2_999 },
      ])
    } finally {
      await db.close()
      await db.close()
    }
  })
})
