import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Availability } from '../../kernel/specs/view-spec.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { countOfThings } from './thing-features.ts'
import type { ThingRow } from './things.ts'
import { createThings, service, view } from './things.ts'

const noon = parseTimestamp('2001-03-01T12:00:00Z')
const row = (thing: string | null, hours: number, knownHours: number | null, i: number): ThingRow => ({
  thing,
  eventTime: noon + hours * hour,
  knownTime: knownHours === null ? null : noon + knownHours * hour,
  tie: i,
  values: [i, null, null, null],
})
const rows = [
  row('b', 0, null, 1), // at the beginning itself
  row('b', 0, null, 2), // and once more
  row('a', -5, 2, 3), // happened before, known within
  row('a', 1, null, 4),
  row('a', 1, 6, 5), // known too late
  row('a', 4, null, 6), // at the end itself
  row('a', -1, null, 7), // too early
  row(null, 1, null, 8), // of nobody
]

function things(availability: Availability, known: string | null = 'known') {
  const spec = viewSpec('things', [countOfThings], availability)
  return view({ ...spec, source: { ...spec.source, known } }, 'things')
}
const continuous = service([{ plan: things({ kind: 'continuous' }), alias: null, key: ['thing'] }])
const schedule = { kind: 'schedule', schedule: '0 */3 * * *', delayMicros: 60_000_000 } as const

for (const { kind, open } of databases) {
  describe(`a training set of a view's own rows, from ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
    })
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lockstep-rows-'))
      await opened.db.query('DROP TABLE IF EXISTS things')
      await createThings(opened.db, 'things', rows)
    })
    afterEach(() => rm(folder, { recursive: true }))
    afterAll(() => opened?.close())

    const spine = { rowsOf: 'things', from: noon, to: noon + 4 * hour }
    let made = 0
    async function make(asked: ServicePlan, options: Partial<DatasetOptions> = {}) {
      const out = options.out ?? join(folder, `${++made}.csv`)
      const manifest = await createDataset(opened.db, asked, { spine, ...options, out })
      return { manifest, lines: (await readFile(out, 'utf8')).trim().split(/\r?\n/) }
    }

    it('has each row at the moment at which it becomes visible, with duplicates', async () => {
      const { manifest, lines } = await make(continuous)
      expect(lines).toEqual([
        'thing,event_timestamp,n',
        'a,2001-03-01T13:00:00Z,2',
        'a,2001-03-01T14:00:00Z,3',
        'b,2001-03-01T12:00:00Z,2',
        'b,2001-03-01T12:00:00Z,2',
      ])
      expect(manifest.spine).toMatchObject({
        from: { rowsOf: 'things', from: '2001-03-01T12:00:00Z', to: '2001-03-01T16:00:00Z' },
        time: 'event_timestamp',
        rows: 4,
        nullKeyRows: 0,
      })
      expect(manifest.source.droppedRows).toEqual({ things: 1 })
    })

    it('carries no label that could leak, so that no known time is needed', async () => {
      const unknowing = service([{ plan: things({ kind: 'continuous' }, null), alias: null, key: ['thing'] }])
      expect((await make(unknowing)).lines.slice(1)).toEqual([
        'a,2001-03-01T13:00:00Z,4',
        'a,2001-03-01T13:00:00Z,4',
        'b,2001-03-01T12:00:00Z,2',
        'b,2001-03-01T12:00:00Z,2',
      ])
      const before = await make(continuous, { asOf: 'before', knowledge: 'latest' })
      expect(before.lines.slice(1)).toEqual([
        'a,2001-03-01T13:00:00Z,2',
        'a,2001-03-01T13:00:00Z,2',
        'b,2001-03-01T12:00:00Z,0',
        'b,2001-03-01T12:00:00Z,0',
      ])
    })

    it('follows the schedule of the view, and the requested rule', async () => {
      const scheduled = service([{ plan: things(schedule), alias: null, key: ['thing'] }])
      expect((await make(scheduled)).lines.slice(1)).toEqual([
        'a,2001-03-01T12:01:00Z,1', // the one that was there at 11:00
        'a,2001-03-01T15:01:00Z,3',
        'a,2001-03-01T15:01:00Z,3',
        'b,2001-03-01T12:01:00Z,2',
        'b,2001-03-01T12:01:00Z,2',
      ])
      expect((await make(scheduled, { freshness: 'ideal' })).lines).toEqual((await make(continuous)).lines)
      expect((await make(continuous, { knownBefore: noon + 2 * hour })).lines.slice(1)).toEqual([
        'a,2001-03-01T13:00:00Z,2',
        'b,2001-03-01T12:00:00Z,2',
        'b,2001-03-01T12:00:00Z,2',
      ])
    })

    it('can be rebuilt after any later arrivals, and sampled and split', async () => {
      const { manifest } = await make(continuous)
      const parts = await make(continuous, { out: join(folder, 'parts.csv'), sample: { fraction: 0.9, seed: 3 } })
      await opened.db.query(`INSERT INTO things (thing, at, i, "_row") VALUES ('a', '2001-03-01 13:30Z', 9, 9)`)
      expect((await verifyDataset(opened.db, manifest, () => continuous, {})).differences).toEqual([])
      expect((await verifyDataset(opened.db, parts.manifest, () => continuous, {})).differences).toEqual([])
      expect((await make(continuous)).manifest.spine.rows).toBe(5)
    })

    it('is refused if the view is not read, a key is missing, or there is no time', async () => {
      const pair = service([
        { plan: things({ kind: 'continuous' }), alias: 'from', key: ['from'] },
        { plan: things({ kind: 'continuous' }), alias: 'to', key: ['to'] },
      ])
      const request: OnDemandSpec = {
        name: 'asked',
        version: 1,
        request: [{ name: 'load', type: { kind: 'float64' } }],
        inputs: [],
        features: [{ name: 'double', type: { kind: 'float64' }, default: null, required: false }],
        code: 'c',
      }
      const asking = service([{ plan: things({ kind: 'continuous' }), alias: null, key: ['thing'] }], {
        spec: request,
        code: '({ request }) => ({ double: request.load * 2 })',
      })
      const refusals = [
        [() => make(continuous, { spine: { ...spine, rowsOf: 'others' } }), 'SPINE_INVALID', '"others"; it reads "things@1"'],
        [() => make(pair), 'SPINE_INVALID', 'lacks the key "to"'],
        [() => make(asking), 'MISSING_REQUEST_VALUE', '"load"'],
        [() => make(continuous, { spine: { ...spine, to: noon } }), 'USAGE', '2001-03-01T12:00:00Z'],
      ] as const
      for (const [refused, code, message] of refusals)
        await expect(refused()).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
      expect(await readdir(folder)).toEqual([])
    })

    it('may have no rows', async () => {
      const { lines, manifest } = await make(continuous, { spine: { ...spine, from: noon + 100 * hour, to: noon + 200 * hour } })
      expect(lines).toEqual(['thing,event_timestamp,n'])
      expect(manifest.spine.rows).toBe(0)
    })
  })
}
