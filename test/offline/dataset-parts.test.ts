import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { createThings, service, view } from './things.ts'

const last = {
  kind: 'latest',
  name: 'last',
  column: 'i',
  type: { kind: 'int32' },
  ttlMicros: null,
  default: null,
  required: true,
} as const
const asked = service([{ plan: view(viewSpec('things', [last], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] }])
/** 3,000 rows, a minute apart, of which every tenth finds nothing. */
const sql = `SELECT CASE WHEN n % 10 = 0 THEN 'nobody' ELSE 'a' END AS thing, '2001-03-02 00:00Z'::timestamptz + n * interval '1 min' AS moment, n FROM generate_series(0, 2999) n ORDER BY n`
const minute = (n: number): number => parseTimestamp('2001-03-02T00:00:00Z') + n * 60_000_000

for (const { kind, open } of databases) {
  describe(`a training set from ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
      const known = { thing: 'a', eventTime: minute(-60), knownTime: null, tie: 1, values: [1, null, null, null] }
      await createThings(opened.db, 'things', [known])
    })
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lockstep-parts-'))
    })
    afterEach(() => rm(folder, { recursive: true }))
    afterAll(() => opened?.close())

    const make = (name: string, options: Partial<DatasetOptions>) =>
      createDataset(opened.db, asked, { spine: { sql }, out: join(folder, name), ...options })
    async function numbersIn(name: string): Promise<number[]> {
      const [, ...rows] = (await readFile(join(folder, name), 'utf8')).trim().split(/\r?\n/)
      return rows.map((row) => Number(row.split(',')[2]))
    }
    const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

    it('is split by time into files beside each other, which its manifest lists', async () => {
      const split = [minute(1000), minute(2000)]
      const manifest = await make('set.csv', { split })
      expect((await readdir(folder)).toSorted()).toEqual(['set.csv.manifest.json', 'set.test.csv', 'set.train.csv', 'set.validation.csv'])
      expect(await numbersIn('set.train.csv')).toEqual(range(0, 1000))
      expect(await numbersIn('set.validation.csv')).toEqual(range(1000, 2000))
      expect(await numbersIn('set.test.csv')).toEqual(range(2000, 3000))
      expect(manifest.path).toBe(join(folder, 'set.csv'))
      expect(manifest.split).toEqual(['2001-03-02T16:40:00Z', '2001-03-03T09:20:00Z'])
      expect(filesOf(manifest).map(({ part, path, rows }) => [part, path, rows])).toEqual([
        ['train', join(folder, 'set.train.csv'), 1000],
        ['validation', join(folder, 'set.validation.csv'), 1000],
        ['test', join(folder, 'set.test.csv'), 1000],
      ])
      expect(filesOf(manifest).map(({ statistics }) => statistics[2]?.numbers?.min)).toEqual([0, 1000, 2000])
      expect(JSON.parse(await readFile(join(folder, 'set.csv.manifest.json'), 'utf8'))).toEqual(manifest)
      expect((await verifyDataset(opened.db, manifest, () => asked, {})).equal).toBe(true)
      await rm(join(folder, 'set.validation.csv'))
      const { differences, files } = await verifyDataset(opened.db, manifest, () => asked, {})
      expect(differences).toEqual([`The file "${join(folder, 'set.validation.csv')}" does not exist any more.`])
      expect(files.map(({ state }) => state)).toEqual(['same', 'gone', 'same'])
      const taken = make('set.csv', { split: split.slice(0, 1) })
      await expect(taken).rejects.toMatchObject({ code: 'FILE_EXISTS', message: expect.stringContaining('set.train.csv') })
    })

    it('is split into two at one moment, after rows were left out', async () => {
      const manifest = await make('set.csv', { split: [minute(2990)], dropIncomplete: true })
      expect(filesOf(manifest).map(({ part, rows }) => [part, rows])).toEqual([
        ['train', 2691],
        ['test', 9],
      ])
      expect(await numbersIn('set.test.csv')).toEqual(range(2991, 3000))
    })

    it('refuses moments that do not ascend, or too many, and writes nothing', async () => {
      for (const split of [
        [minute(2), minute(1)],
        [minute(1), minute(1)],
        [1, 2, 3],
      ])
        await expect(make('set.csv', { split })).rejects.toMatchObject({ code: 'USAGE' })
      for (const sample of [
        { fraction: 0, seed: 0 },
        { fraction: 1.5, seed: 0 },
        { fraction: 0.5, seed: 0.5 },
      ])
        await expect(make('set.csv', { sample })).rejects.toMatchObject({ code: 'USAGE' })
      expect(await readdir(folder)).toEqual([])
    })

    it('is the same ordered sample of the rows each time, and differs by seed', async () => {
      const manifest = await make('one.csv', { sample: { fraction: 0.2, seed: 1 } })
      const rows = await numbersIn('one.csv')
      expect(rows).toEqual([...rows].toSorted((a, b) => a - b))
      expect(rows.length).toBeGreaterThan(500)
      expect(rows.length).toBeLessThan(700)
      expect(manifest.spine).toMatchObject({ sample: { fraction: 0.2, seed: 1 }, rows: rows.length })
      expect((await verifyDataset(opened.db, manifest, () => asked, {})).equal).toBe(true)

      const spine = join(folder, 'spine.csv')
      const lines = range(0, 3000).map((n) => `${n % 10 === 0 ? 'nobody' : 'a'},${new Date(minute(n) / 1000).toISOString()},${n}`)
      await writeFile(spine, `thing,event_timestamp,n\n${lines.join('\n')}\n`)
      await make('file.csv', { spine: { file: spine }, sample: { fraction: 0.2, seed: 1 } })
      expect(await numbersIn('file.csv')).toEqual(rows)

      await make('other.csv', { sample: { fraction: 0.2, seed: 2 } })
      expect(await numbersIn('other.csv')).not.toEqual(rows)
      await make('all.csv', { sample: { fraction: 1, seed: 2 } })
      expect(await numbersIn('all.csv')).toEqual(range(0, 3000))
    })

    it('names the row of the file that is at fault, in a sample too', async () => {
      const spine = join(folder, 'spine.csv')
      await writeFile(spine, `thing,event_timestamp\n${'a,2001-03-02\n'.repeat(98)}a,\n`)
      const sampled = make('set.csv', { spine: { file: spine }, sample: { fraction: 0.01, seed: 0 } })
      await expect(sampled).rejects.toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('Row 99') })
    })
  })
}
