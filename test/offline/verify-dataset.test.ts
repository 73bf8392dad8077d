import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { lastThing, requiredThing } from './thing-features.ts'
import type { ThingRow } from './things.ts'
import { createThings, service, view } from './things.ts'

const noon = parseTimestamp('2001-03-01T12:00:00Z')
const row = (thing: string, hours: number, i: number): ThingRow => ({
  thing,
  eventTime: noon + hours * hour,
  knownTime: null,
  tie: i,
  values: [i, null, null, null],
})
const asked = service([{ plan: view(viewSpec('things', [requiredThing], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] }])
const spineSql = { sql: 'SELECT thing, moment, label FROM labels ORDER BY n' }

for (const { kind, open } of databases) {
  describe(`a training set from ${kind} that is rebuilt`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
    })
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lockstep-verify-'))
      await opened.db.script('DROP TABLE IF EXISTS things; DROP TABLE IF EXISTS labels')
      await createThings(opened.db, 'things', [row('a', 0, 1), row('a', 2, 2), row('b', 1, 3)])
      await opened.db.script(`CREATE TABLE labels (n int, thing text, moment timestamptz, label bool);
        INSERT INTO labels VALUES (1, 'a', '2001-03-01 13:00Z', true), (2, 'b', '2001-03-01 15:00Z', false), (3, 'c', '2001-03-01 15:00Z', null)`)
    })
    afterEach(() => rm(folder, { recursive: true }))
    afterAll(() => opened?.close())

    const make = (options: Partial<DatasetOptions> = {}) =>
      createDataset(opened.db, asked, { spine: spineSql, out: join(folder, 'set.parquet'), ...options })
    const verify = (manifest: DatasetManifest, find: (id: string) => ServicePlan = () => asked) =>
      verifyDataset(opened.db, JSON.parse(JSON.stringify(manifest)) as DatasetManifest, find, {})
    const arrive = () => opened.db.query(`INSERT INTO things (thing, at, i, "_row") VALUES ('a', '2001-03-01 12:30Z', 9, 9)`)

    it('is equal after any later arrivals', async () => {
      const plain = await make()
      const other = await make({
        out: join(folder, 'other.jsonl'),
        asOf: 'before',
        knowledge: 'latest',
        freshness: 'ideal',
        knownBefore: noon + 2 * hour,
        columns: ['label', 'moment'],
        dropIncomplete: true,
      })
      await arrive()
      for (const manifest of [plain, other]) {
        const { path, rows, bytes, sha256 } = manifest.file
        expect(await verify(manifest)).toEqual({
          id: manifest.id,
          equal: true,
          files: [{ path, state: 'same', sha256 }],
          rebuilt: [{ rows, bytes, sha256 }],
          order: 'given',
          differences: [],
        })
      }
      expect((await readdir(folder)).length).toBe(4)
    })

    it('is distinguished from its file, which was altered or deleted', async () => {
      const manifest = await make()
      await appendFile(manifest.file.path, ' ')
      const altered = await verify(manifest)
      expect(altered).toMatchObject({ equal: false, files: [{ state: 'altered' }], rebuilt: [{ sha256: manifest.file.sha256 }] })
      expect(altered.differences).toEqual([
        expect.stringMatching(/^The file ".*set\.parquet" was changed: its SHA-256 is [0-9a-f]{64}, not/),
      ])
      await rm(manifest.file.path)
      const gone = await verify(manifest)
      expect(gone).toMatchObject({ equal: false, files: [{ state: 'gone', sha256: null }], rebuilt: [{ sha256: manifest.file.sha256 }] })
      expect(gone.differences).toEqual([`The file "${manifest.file.path}" does not exist any more.`])
    })

    it('reports that the spine has changed, and its new hash', async () => {
      const manifest = await make()
      await opened.db.query('DELETE FROM labels WHERE n = 2')
      const { equal, differences } = await verify(manifest)
      expect(equal).toBe(false)
      expect(differences[0]).toContain(`not ${manifest.file.sha256} (3 rows)`)
      expect(differences[1]).toMatch(/^The spine has other rows: its SHA-256 is [0-9a-f]{64} \(2 rows\)/)
      expect(differences[1]).toContain(`not ${manifest.spine.sha256} (3 rows)`)
    })

    it('is equal if a query without ORDER BY gives its rows in another order', async () => {
      const spine = { sql: 'SELECT thing, moment, label FROM labels' }
      const sets = [
        await make({ spine }),
        await make({ spine, out: join(folder, 'half.csv'), sample: { fraction: 0.5, seed: 1 } }),
        await make({ spine: { sql: `${spine.sql} ORDER BY n` }, out: join(folder, 'most.csv'), sample: { fraction: 0.5, seed: 1 } }),
      ]
      await opened.db.query('UPDATE labels SET n = n WHERE n = 1') // which moves it behind the others
      for (const manifest of sets) {
        const order = manifest === sets[2] ? 'given' : 'values'
        expect(await verify(manifest)).toMatchObject({ equal: true, order, differences: [] })
      }
      expect(sets.map(({ file }) => file.rows)).toEqual([3, 1, 1])
    })

    it('reports rows in another order than the query specifies', async () => {
      const manifest = await make({ spine: { sql: 'SELECT thing, moment, label FROM labels ORDER BY moment' } })
      await opened.db.query('UPDATE labels SET n = n WHERE n = 2') // the first of two of one moment
      const { equal, differences } = await verify(manifest)
      expect(equal).toBe(false)
      expect(differences[1]).toMatch(/^The spine has the same rows in another order: its SHA-256 .* make the ORDER BY unique/)
    })

    it('is equal if parallel workers read the table of its spine', async () => {
      // the embedded PostgreSQL is one process, so its table need not be large enough for workers
      const hasWorkers = kind !== 'PGlite'
      await opened.db
        .query(`CREATE TABLE large AS SELECT n, chr(97 + n % 3) AS thing, timestamptz '2001-03-01Z' + n * interval '1 second' AS moment
        FROM generate_series(1, ${hasWorkers ? 300_000 : 3_000}) n`)
      await opened.db.query('ANALYZE large')
      const sql = 'SELECT thing, moment, n FROM large WHERE n % 40 = 0'
      expect(JSON.stringify(await opened.db.query(`EXPLAIN ${sql}`))).toContain(hasWorkers ? 'Parallel Seq Scan' : 'Seq Scan')
      const limited = { sql: 'SELECT thing, moment, n FROM large LIMIT 500' }
      for (const options of [{ spine: { sql } }, { spine: { sql }, sample: { fraction: 0.1, seed: 1 } }, { spine: limited }]) {
        const manifest = await make({ ...options, overwrite: true })
        for (let i = 0; i < (hasWorkers ? 3 : 1); i++) expect((await verify(manifest)).differences).toEqual([])
      }
    })

    it('reports changed rows of a source, or rows it cannot tell from later ones', async () => {
      const manifest = await make()
      await opened.db.query('UPDATE things SET i = 7 WHERE i = 1')
      const changed = (await verify(manifest)).differences
      expect(changed.slice(1)).toEqual(['The statistics of "last" differ.', expect.stringContaining('changed or deleted')])
      await opened.db.query('ALTER TABLE things DROP COLUMN "_xid"')
      const unfrozen = await make({ out: join(folder, 'unfrozen.csv') })
      expect((await verify(unfrozen)).equal).toBe(true)
      await arrive()
      const { differences } = await verify(unfrozen)
      expect(differences.at(-1)).toMatch(/^Rows of "things" have changed. Without a column "_xid"/)
    })

    it('names the source whose rows were deleted, and not the others', async () => {
      await opened.db.script('DROP TABLE IF EXISTS others; CREATE TABLE others AS SELECT thing, at, known, i, big, f, s, ok FROM things')
      const last = (name: string) => view({ ...viewSpec('things', [lastThing], { kind: 'continuous' }), name }, name)
      const both = service([
        { plan: last('things'), alias: null, key: ['thing'] },
        { plan: last('others'), alias: 'other', key: ['thing'] },
      ])
      const manifest = await createDataset(opened.db, both, { spine: spineSql, out: join(folder, 'both.csv') })
      expect((await verify(manifest, () => both)).differences).toEqual([])
      const changed = 'Rows of "others" have changed. Without a column "_xid", Lockstep cannot separate the original rows from later ones.'
      // two values change places, so no statistics say which source it was
      const swap = () => opened.db.query('UPDATE others SET i = CASE i WHEN 1 THEN 3 WHEN 3 THEN 1 ELSE i END')
      await swap()
      expect((await verify(manifest, () => both)).differences.slice(1)).toEqual([changed])
      await swap()
      await opened.db.query('DELETE FROM things WHERE i = 1')
      const { differences } = await verify(manifest, () => both)
      expect(differences.slice(1)).toEqual([
        'The statistics of "last" differ.',
        'The spine is the same, so rows of "things" that the training set was made of were changed or deleted.',
      ])
      await opened.db.query('DELETE FROM others WHERE i = 3')
      expect((await verify(manifest, () => both)).differences.slice(1)).toEqual([
        'The statistics of "last", "other__last" differ.',
        changed,
        'The spine is the same, so rows of "things" that the training set was made of were changed or deleted.',
      ])
      // the features of a view say which source it was, whatever an on-demand view reads
      const computed = { ...both, features: both.features.map((each) => (each.name === 'other__last' ? { ...each, use: null } : each)) }
      expect((await verify(manifest, () => computed)).differences.slice(1)).toEqual([
        'The statistics of "last", "other__last" differ.',
        'The spine is the same, so rows of "things" that the training set was made of were changed or deleted.',
      ])
    })

    it('names the inputs that no longer exist', async () => {
      const spine = join(folder, 'spine.csv')
      await writeFile(spine, 'thing,event_timestamp\na,2001-03-01 13:00\n')
      const manifest = await make({ spine: { file: spine } })
      expect((await verify(manifest)).equal).toBe(true)
      await rm(spine)
      const lost = await verify(manifest)
      expect(lost).toMatchObject({ equal: false, files: [{ state: 'same' }], rebuilt: null })
      expect(lost.differences).toEqual([expect.stringMatching(/^It cannot be recreated: .*spine\.csv/)])

      const other = await make({ out: join(folder, 'other.csv') })
      const unknown = await verify(other, (id) => {
        throw new LockstepError('UNKNOWN_DEFINITION', `There is no service "${id}" in the registry.`)
      })
      expect(unknown.differences).toEqual(['It cannot be recreated: There is no service "things_service@1" in the registry.'])
      const redefined = await verify(other, () => ({ ...asked, fingerprint: 'another' }))
      expect(redefined.differences).toEqual([
        'The service "things_service@1" has changed since: its fingerprint is another, not print of the service.',
      ])
      const [use] = asked.uses
      if (use === undefined) throw new Error('no view')
      const recoded = await verify(other, () => ({ ...asked, uses: [{ ...use, plan: { ...use.plan, fingerprint: 'new' } }] }))
      expect(recoded.differences).toEqual([expect.stringContaining('The view "things@1" has changed since')])
      await opened.db.query('DROP TABLE things')
      expect((await verify(other)).differences).toEqual([expect.stringMatching(/^It cannot be recreated: There is no table "things"/)])
    })

    it('fails if it cannot be verified', async () => {
      const manifest = await make()
      const controller = new AbortController()
      controller.abort(new Error('enough'))
      const aborted = verifyDataset(opened.db, manifest, () => asked, { signal: controller.signal })
      await expect(aborted).rejects.toThrow('enough')
    })
  })
}
