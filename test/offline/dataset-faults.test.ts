import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { programFile } from '../cli/run-lockstep.ts'
import { bareEnvironment } from '../bare-environment.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { createManyThings, manyThings } from './many-things.ts'

/**
 * Runs a program with a small disk at the folder `$0`: a file system of 128 kB, where one can be mounted, else a limit
 * on the size of files stands in for it. The mount is the program's own, and gone with it.
 */
const onSmallDisk = `
  if unshare -m mount -t tmpfs -o size=128k tmpfs "$0" 2>/dev/null; then
    exec unshare -m sh -c 'mount -t tmpfs -o size=128k tmpfs "$0" && exec "$@"' "$0" "$@"
  fi
  trap '' XFSZ; ulimit -f 128; exec "$@"`
const program = programFile('test/offline/dataset-process')

describe('a training set that cannot be written', () => {
  let database: TestDatabase
  let db: Database
  let folder: string
  beforeAll(async () => {
    database = await testDatabase()
    db = openPostgres(database.url)
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-faults-'))
    await db.query('DROP TABLE IF EXISTS things')
    await createManyThings(db)
  })
  afterEach(async () => {
    const sets = await db?.kysely.selectFrom('lockstep.datasets').select('id').execute()
    const spines = await db?.query(`SELECT relname FROM pg_class WHERE relname LIKE 'spine\\_%'`)
    if (sets.length + spines.length > 0) throw new Error(`Left behind: ${JSON.stringify([sets, spines])}`)
    await rm(folder, { recursive: true })
  })
  afterAll(async () => {
    await db?.close()
    await database?.drop()
  })

  const make = (options: Partial<DatasetOptions> = {}) =>
    createDataset(db, manyThings.service, { spine: { sql: manyThings.spine }, out: join(folder, 'set.csv'), ...options })

  /** The error of a process with a small disk at `disk`. */
  async function onFullDisk(disk: string, out: string, env: Readonly<Record<string, string>> = {}) {
    const { stdout } = await promisify(execFile)('sh', ['-c', onSmallDisk, disk, process.execPath, program, database.url, out], {
      env: { ...bareEnvironment, ...env },
    })
    return JSON.parse(stdout) as { readonly code?: string; readonly message?: string; readonly left: readonly string[] }
  }

  it.each(['set.csv', 'set.parquet', 'set.jsonl'])(
    'as the disk is full before the end of %s, reports it and leaves nothing',
    async (name) => {
      const { code, message, left } = await onFullDisk(folder, join(folder, name))
      expect(code).toBe('WRITE_FAILED')
      expect(message).toMatch(/ENOSPC|EFBIG/)
      expect(left).toEqual([])
    },
  )

  it('as the disk of temporary files is full, names their folder', async () => {
    const disk = join(folder, 'small')
    await mkdir(disk)
    const { code, message, left } = await onFullDisk(disk, join(folder, 'set.csv'), { TMPDIR: disk })
    expect(code).toBe('WRITE_FAILED')
    expect(message).toMatch(/^A temporary file in ".*small" cannot be written: (ENOSPC|EFBIG).*TMPDIR/)
    expect(left).toEqual(['small'])
  })

  it('whose name, part or manifest name is taken, leaves the existing files', async () => {
    const split = [Date.UTC(2001, 2, 2) * 1000]
    for (const [taken, options] of [
      ['set.csv', {}],
      ['set.csv.manifest.json', {}],
      ['set.test.csv', { split }],
    ] as const) {
      await writeFile(join(folder, taken), 'precious')
      await expect(make(options)).rejects.toMatchObject({ code: 'FILE_EXISTS', message: expect.stringContaining(`${taken}"`) })
      expect(await readdir(folder)).toEqual([taken])
      await rm(join(folder, taken))
    }
    await mkdir(join(folder, 'set.test.csv', 'full'), { recursive: true })
    await expect(make({ split, overwrite: true })).rejects.toMatchObject({
      code: 'WRITE_FAILED',
      message: expect.stringContaining('set.test.csv'),
    })
    expect(await readdir(folder)).toEqual(['set.test.csv'])
  })

  it('as a source has lost its table or a column, names it', async () => {
    await db.query('ALTER TABLE things RENAME COLUMN f TO g')
    await expect(make()).rejects.toMatchObject({ code: 'SOURCE_MISSING', message: expect.stringContaining('"f"') })
    await db.query('ALTER TABLE things RENAME TO others')
    await expect(make()).rejects.toMatchObject({ code: 'SOURCE_MISSING', message: expect.stringContaining('things') })
    await db.query('DROP TABLE others')
    expect(await readdir(folder)).toEqual([])
  })

  it('not even as a table is dropped meanwhile, but only the next time', async () => {
    const drops: Promise<unknown>[] = []
    await make({
      onProgress: () => {
        // the export holds the table: the drop waits for it, and what was begun is finished
        if (drops.length === 0) drops.push(db.query('DROP TABLE things'))
      },
    })
    await Promise.all(drops)
    await db.kysely.deleteFrom('lockstep.datasets').execute()
    await expect(make({ overwrite: true })).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
  })
})
