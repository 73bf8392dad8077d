import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { countOfThings, lastThing } from './thing-features.ts'
import type { ThingRow } from './things.ts'
import { createThings, service, view } from './things.ts'

const noon = parseTimestamp('2001-03-01T12:00:00Z')
const row = (thing: string, hours: number, knownHours: number | null, i: number): ThingRow => ({
  thing,
  eventTime: noon + hours * hour,
  knownTime: knownHours === null ? null : noon + knownHours * hour,
  tie: i,
  values: [i, null, null, null],
})
const asked = service([
  { plan: view(viewSpec('things', [countOfThings, lastThing], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] },
])
const spine = { sql: `SELECT 'a' AS thing, '2001-03-02 12:00Z'::timestamptz AS moment` }

for (const { kind, open } of databases) {
  describe(`a frozen training set from ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
    })
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lockstep-frozen-'))
      await opened.db.query('DROP TABLE IF EXISTS things')
    })
    afterEach(() => rm(folder, { recursive: true }))
    afterAll(() => opened?.close())

    let made = 0
    async function make(options: Partial<DatasetOptions>) {
      const out = join(folder, `${++made}.csv`)
      const manifest = await createDataset(opened.db, asked, { spine, out, ...options })
      const [, values = ''] = (await readFile(out, 'utf8')).trim().split(/\r?\n/)
      return { manifest, features: values.split(',').slice(2).join(' ') }
    }

    it('has no row that was known or happened at the cut-off or later, for any rule', async () => {
      await createThings(opened.db, 'things', [
        row('a', 1, null, 1),
        row('a', 2, 3, 2),
        row('a', 4, 6, 3), // happened before the cut-off, known after it
        row('a', 5, null, 4), // happened at the cut-off itself
        row('a', 7, 3, 5), // known ahead
      ])
      await opened.db.query(
        `INSERT INTO things (thing, at, known, i, "_row") VALUES ('a', '2001-03-01 13:30Z', '-infinity', 6, 6), ('a', '2001-03-01 13:31Z', 'infinity', 7, 7), ('a', '2001-03-01 19:30Z', '-infinity', 8, 8)`,
      )
      const knownBefore = noon + 5 * hour
      expect((await make({})).features).toBe('7 8')
      const { features, manifest } = await make({ knownBefore })
      expect(features).toBe('4 5')
      expect(manifest.rule.knownBefore).toBe('2001-03-01T17:00:00Z')
      expect((await make({ knowledge: 'latest' })).features).toBe('8 8')
      expect((await make({ knowledge: 'latest', freshness: 'ideal', knownBefore })).features).toBe('4 5')
      expect((await make({ knownBefore: knownBefore + 1 })).features).toBe('5 5')
    })

    it('has no cut-off in the future', async () => {
      await createThings(opened.db, 'things', [row('a', 1, null, 1)])
      const future = make({ knownBefore: (Date.now() + 60_000) * 1000 })
      await expect(future).rejects.toMatchObject({ code: 'INVALID_TIME', message: expect.stringContaining('in the future') })
    })

    it('equals an earlier one, after any later arrivals', async () => {
      await createThings(opened.db, 'things', [row('a', 1, null, 1), row('a', 2, 3, 2)])
      const first = await make({})
      expect(first.features).toBe('2 2')
      const arrive = (values: string) => opened.db.query(`INSERT INTO things (thing, at, known, i, "_row") VALUES ${values}`)
      await arrive(`('a', '2001-03-01 20:00Z', null, 3, 3)`) // late
      await arrive(`('a', '2001-02-28 20:00Z', null, 4, 4)`) // backdated
      await arrive(`('a', '2001-03-01 14:00Z', '2001-03-01 16:00', 5, 5), (null, '2001-03-01 14:00Z', null, 6, 6)`) // a correction, and one without a key
      expect((await make({})).features).toBe('5 3')
      const { xmin } = first.manifest.source
      const again = await make({ arrivedBefore: xmin })
      expect(again.features).toBe('2 2')
      expect(again.manifest.file.sha256).toBe(first.manifest.file.sha256)
      expect(again.manifest.source).toEqual({ xmin, droppedRows: { things: 0 }, heldBackRows: { things: 4 } })
      const ahead = make({ arrivedBefore: xmin + 1_000_000 })
      await expect(ahead).rejects.toMatchObject({ code: 'NOT_REPRODUCIBLE', message: expect.stringContaining(`"${xmin + 1_000_000}"`) })
    })
  })
}
