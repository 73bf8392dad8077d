import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { budget } from '../budget.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { createManyThings, manyThings } from './many-things.ts'

/** In each of two folders. */
const kills = Math.max(3, Math.ceil(budget(100) / 10))

describe('an export that is killed', () => {
  let database: TestDatabase
  let db: Database
  let folder: string
  beforeAll(async () => {
    database = await testDatabase()
    db = openPostgres(database.url)
    folder = await mkdtemp(join(tmpdir(), 'lockstep-killed-'))
    await createManyThings(db)
  })
  afterAll(async () => {
    await db?.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
    await db?.close()
    await database?.drop()
    await rm(folder, { recursive: true })
  })

  /**
   * A process that exports, killed so long after it began; null: not killed.
   *
   * @returns how long it ran, and whether it was killed before its end
   */
  async function exportTo(out: string, killAfterMs: number | null): Promise<{ ms: number; isCut: boolean }> {
    const child = fork(programFile('test/offline/dataset-process'), [database.url, out], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    const ended = once(child, 'exit')
    await once(child, 'message')
    const started = performance.now()
    if (killAfterMs !== null) {
      await Promise.race([setTimeout(killAfterMs), ended])
      child.kill('SIGKILL')
    }
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null]
    return { ms: performance.now() - started, isCut: signal === 'SIGKILL' }
  }

  /** The file with the name, which never has the manifest of another. */
  async function look(out: string): Promise<{ readonly sha256: string; readonly manifest: DatasetManifest } | null> {
    const bytes = await readFile(out).catch(() => null)
    if (bytes === null) return null
    const manifest = JSON.parse(await readFile(`${out}.manifest.json`, 'utf8')) as DatasetManifest
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    expect(manifest.file).toMatchObject({ sha256, bytes: bytes.length })
    return { sha256, manifest }
  }

  it(`at ${2 * kills} random moments gives, when repeated, the same bytes without leftovers`, { timeout: 600_000 }, async () => {
    const whole = await createDataset(db, manyThings.service, { spine: { sql: manyThings.spine }, out: join(folder, 'whole.parquet') })
    const lanes = ['left', 'right'].map(async (name) => {
      const out = join(folder, name, 'set.parquet')
      await mkdir(join(folder, name))
      let durationMs = (await exportTo(out, null)).ms
      await rm(out)
      let cut = 0
      for (let i = 0; i < kills || cut === 0; i++) {
        expect(i).toBeLessThan(kills + 100)
        // one in each part of the time that an export takes: the first one may have been held up
        const { ms, isCut } = await exportTo(out, (((i % kills) + Math.random()) / kills) * durationMs)
        if (isCut) cut++
        else durationMs = Math.min(durationMs, ms)
        await look(out)
      }
      await exportTo(out, null)
      expect((await look(out))?.sha256).toBe(whole.file.sha256)
      // what a killed process was about to replace stays, under a hidden name
      const left = (await readdir(join(folder, name))).filter((each) => !each.endsWith('.replaced'))
      expect(left.toSorted()).toEqual(['set.parquet', 'set.parquet.manifest.json'])
    })
    await Promise.all(lanes)
    // the server notices that its client is gone, and the next run that it left a spine
    await expect
      .poll(
        async () => {
          await createDataset(db, manyThings.service, {
            spine: { sql: `${manyThings.spine} LIMIT 1` },
            out: join(folder, 'last.csv'),
            overwrite: true,
          })
          return await db.query(`SELECT relname FROM pg_class WHERE relname LIKE 'spine\\_%'`)
        },
        { timeout: 120_000 },
      )
      .toEqual([])
  })
})
