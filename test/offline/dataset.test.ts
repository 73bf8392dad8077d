import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import type { OnDemandSpec } from '../../kernel/specs/service-spec.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { SourceRelation } from '../../kernel/specs/view-spec.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { requiredThing } from './thing-features.ts'
import type { ThingRow } from './things.ts'
import { createThings, service, view } from './things.ts'

const noon = parseTimestamp('2001-03-01T12:00:00Z')
const row = (thing: string | null, hours: number, i: number | null, tie: number): ThingRow => ({
  thing,
  eventTime: noon + hours * hour,
  knownTime: null,
  tie,
  values: [i, null, null, null],
})
const rows = [row('a', -2, 1, 1), row('a', 0, 2, 2), row('a', 5, 9, 3), row('b', -30, 7, 4), row(null, 0, 8, 5)]

const count = {
  kind: 'window',
  name: 'count',
  aggregate: 'count',
  column: null,
  windowMicros: 6 * hour,
  hopMicros: hour,
  type: { kind: 'int32' },
  default: null,
  required: false,
} as const
const pressure: OnDemandSpec = {
  name: 'pressure',
  version: 1,
  request: [{ name: 'load', type: { kind: 'float64' } }],
  inputs: [{ name: 'it', use: { view: 'things@1', alias: null, key: ['thing'] } }],
  features: [{ name: 'pressure', type: { kind: 'float64' }, default: -1, required: false }],
  code: 'c',
}
const code = '({ request, it, asOf }) => ({ pressure: it.last === null ? null : it.last * request.load + asOf % 2 })'

function things(known: string | null) {
  const spec = viewSpec('things', [requiredThing, count], { kind: 'continuous' })
  return view({ ...spec, source: { ...spec.source, known } }, 'things')
}
const asked = service([{ plan: things('known'), alias: null, key: ['thing'] }], { spec: pressure, code })
const unknowing = service([{ plan: things(null), alias: null, key: ['thing'] }])

const spine = `SELECT v.thing, v.moment::timestamptz AS moment, v.load::float8 AS load, v.label FROM (VALUES
  (1, 'a', '2001-03-01 12:00Z', 2, true), (2, 'b', '2001-03-01 12:00Z', 1, false), (3, null, '2001-03-01 12:00Z', 1, true),
  (4, 'a', '2001-03-01 11:59:59.999999Z', 2, null), (5, 'a', '2001-03-01 12:00Z', 2, true)) v (n, thing, moment, load, label) ORDER BY n`

for (const { kind, open } of databases) {
  describe(`a training set from ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
      await createThings(opened.db, 'things', rows)
      await opened.db.script(`CREATE VIEW seen_things AS SELECT * FROM things WHERE i > 0;
        CREATE MATERIALIZED VIEW stored_things AS SELECT * FROM seen_things;
        CREATE FUNCTION things_by_name() RETURNS SETOF things STABLE STRICT SECURITY DEFINER BEGIN ATOMIC SELECT * FROM things ORDER BY thing; END;
        CREATE FUNCTION opaque_things() RETURNS SETOF things LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM things; END $$`)
    })
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'lockstep-dataset-'))
    })
    afterEach(() => rm(folder, { recursive: true }))
    afterAll(() => opened?.close())

    async function leftovers(): Promise<string[]> {
      const found = await opened.db.query<{ name: string }>(`SELECT relname::text AS name FROM pg_class WHERE relname LIKE 'spine\\_%'`)
      return found.map(({ name }) => name)
    }

    it('has the spine in order, features at each moment, and a manifest', async () => {
      const out = join(folder, 'set.csv')
      const manifest = await createDataset(opened.db, asked, { spine: { sql: spine }, out })
      const bytes = await readFile(out)
      expect(bytes.toString().trim().split(/\r?\n/)).toEqual([
        'thing,moment,load,label,last,count,pressure',
        'a,2001-03-01T12:00:00Z,2,true,2,2,4',
        'b,2001-03-01T12:00:00Z,1,false,,0,-1',
        ',2001-03-01T12:00:00Z,1,true,,0,-1',
        'a,2001-03-01T11:59:59.999999Z,2,,1,1,3',
        'a,2001-03-01T12:00:00Z,2,true,2,2,4',
      ])
      expect(manifest).toMatchObject({
        service: { id: 'things_service@1', fingerprint: 'print of the service' },
        views: [{ id: 'things@1', fingerprint: 'print of things', code: null }],
        spine: { from: { sql: spine }, time: 'moment', rows: 5, nullKeyRows: 1 },
        rule: { knowledge: 'bitemporal', freshness: 'served', asOf: 'at' },
        source: { droppedRows: { things: 1 } },
        missingRequired: { last: 2 },
        incomplete: { rows: 2, dropped: false },
        file: { path: out, format: 'csv', rows: 5, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
      })
      expect(manifest.file.statistics.map(({ column, count, nulls }) => `${column} ${count} ${nulls}`)).toEqual([
        'thing 4 1',
        'moment 5 0',
        'load 5 0',
        'label 4 1',
        'last 3 2',
        'count 5 0',
        'pressure 5 0',
      ])
      expect(manifest.file.statistics[4]?.numbers).toMatchObject({ mean: 5 / 3, min: 1, max: 2, quantiles: { 0.5: 2 } })
      expect(manifest.columns.map(({ name, type, from }) => `${name} ${type} ${from}`)).toEqual([
        'thing string spine',
        'moment timestamp spine',
        'load float64 spine',
        'label bool spine',
        'last int32 feature',
        'count int32 feature',
        'pressure float64 feature',
      ])
      expect(JSON.parse(await readFile(`${out}.manifest.json`, 'utf8'))).toEqual(manifest)
      const [recorded] = await opened.db.kysely.selectFrom('lockstep.datasets').selectAll().where('id', '=', manifest.id).execute()
      expect(recorded).toMatchObject({ service: 'things_service@1', fingerprint: 'print of the service', path: out, manifest })
      expect(await leftovers()).toEqual([])
    })

    it('omits rows without a required feature on request, and counts them', async () => {
      const out = join(folder, 'set.csv')
      const manifest = await createDataset(opened.db, asked, { spine: { sql: spine }, out, dropIncomplete: true })
      const rest = (await readFile(out, 'utf8')).trim().split(/\r?\n/).slice(1)
      expect(rest).toEqual([
        'a,2001-03-01T12:00:00Z,2,true,2,2,4',
        'a,2001-03-01T11:59:59.999999Z,2,,1,1,3',
        'a,2001-03-01T12:00:00Z,2,true,2,2,4',
      ])
      expect(manifest).toMatchObject({
        spine: { rows: 5 },
        missingRequired: { last: 2 },
        incomplete: { rows: 2, dropped: true },
        file: { rows: 3 },
      })
      expect(manifest.file.statistics.map(({ count, nulls }) => count + nulls)).toEqual(Array.from({ length: 7 }, () => 3))
    })

    it('has the same bytes when repeated, with only the requested columns', async () => {
      const make = (name: string, columns?: string[]) =>
        createDataset(opened.db, asked, { spine: { sql: spine }, out: join(folder, name), ...(columns === undefined ? {} : { columns }) })
      const [first, second, fewer] = [await make('one.parquet'), await make('two.parquet'), await make('three.parquet', ['label'])]
      expect(second.file.sha256).toBe(first.file.sha256)
      expect(second.spine.sha256).toBe(first.spine.sha256)
      expect(second.id).not.toBe(first.id)
      expect(fewer.spine.sha256).toBe(first.spine.sha256)
      expect((await openTabularFile(join(folder, 'three.parquet'))).columns.map(({ name }) => name)).toEqual([
        'label',
        'last',
        'count',
        'pressure',
      ])
      const other = await createDataset(opened.db, asked, {
        spine: { sql: `SELECT * FROM (${spine}) s ORDER BY moment` },
        out: join(folder, 'four.parquet'),
      })
      expect(other.spine.sha256).not.toBe(first.spine.sha256)
    })

    it('is made from a training set, whose features are not copied', async () => {
      const [file, out] = [join(folder, 'first.parquet'), join(folder, 'second.parquet')]
      await createDataset(opened.db, asked, { spine: { sql: spine }, out: file })
      const again = { spine: { file }, out, time: 'moment' }
      await expect(createDataset(opened.db, asked, again)).rejects.toMatchObject({
        code: 'FEATURE_NAME_CLASH',
        message: expect.stringMatching(/"last", which is also a feature of "things@1".*--columns/) as string,
      })
      const columns = ['thing', 'moment', 'load', 'label']
      const second = await createDataset(opened.db, asked, { ...again, columns })
      expect(second.file.sha256).toBe(
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex'),
      )
      await expect(createDataset(opened.db, asked, { ...again, columns: ['last'], overwrite: true })).rejects.toMatchObject({
        code: 'FEATURE_NAME_CLASH',
      })
    })

    it("refuses a spine from a view's own source without a known time", async () => {
      const refuse = (sql: string) =>
        expect(createDataset(opened.db, unknowing, { spine: { sql }, out: join(folder, 'leak.csv') })).rejects.toMatchObject({
          code: 'LABEL_LEAK',
          message: expect.stringContaining('"things@1"'),
        })
      await refuse('SELECT thing, at AS moment, i > 1 AS label FROM things')
      await refuse('SELECT thing, at AS moment FROM seen_things;')
      await refuse('WITH x AS (SELECT thing, at AS moment FROM things) SELECT * FROM x WHERE exists (SELECT 1)')
      await refuse('SELECT thing, at AS moment FROM stored_things')
      await refuse('SELECT thing, at AS moment FROM things_by_name()')
      expect(await readdir(folder)).toEqual([])
      const own = { sql: "SELECT thing, at AS moment FROM things WHERE thing = 'a' ORDER BY at" }
      await createDataset(opened.db, unknowing, { spine: own, out: join(folder, 'before.csv'), asOf: 'before' })
      expect(
        (await readFile(join(folder, 'before.csv'), 'utf8'))
          .trim()
          .split(/\r?\n/)
          .map((line) => line.split(',')[2]),
      ).toEqual(['last', '', '1', '2'])
    })

    it('refuses a spine whose source has its own moment, or null, as known time', async () => {
      const known = service([{ plan: things('known'), alias: null, key: ['thing'] }])
      const spine = { sql: "SELECT thing, at AS moment FROM things WHERE thing = 'a'" }
      const make = (out: string, options = {}) => createDataset(opened.db, known, { spine, out: join(folder, out), ...options })
      const refused = (...messages: string[]) => ({
        code: 'LABEL_LEAK',
        message: expect.stringMatching(new RegExp(messages.join('.*'))),
      })
      await expect(make('null.csv')).rejects.toMatchObject(
        refused(
          '"known" is null in some of its rows',
          'Use "infinity" instead of null',
          "use --as-of before .asOf: 'before' in a definition",
        ),
      )
      await opened.db.query(`UPDATE things SET known = CASE WHEN i = 1 THEN at ELSE 'infinity' END`)
      await expect(make('own.csv')).rejects.toMatchObject(refused('"known" is not later than the event time in some of its rows'))
      await opened.db.query(`UPDATE things SET known = at + interval '1 second' WHERE i = 1`)
      expect((await make('known.csv')).unchecked).toEqual([])
      await expect(make('latest.csv', { knowledge: 'latest' })).rejects.toMatchObject(
        refused('known times are ignored', 'Remove --knowledge latest'),
      )
      await opened.db.query('UPDATE things SET known = NULL')
    })

    it('reports if a spine that it cannot trace has the moments of rows of a source', async () => {
      const file = join(folder, 'spine.csv')
      const [{ at } = { at: '' }] = await opened.db.query<{ at: string }>(
        `SELECT to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at FROM things WHERE thing = 'a' ORDER BY at LIMIT 1`,
      )
      await writeFile(file, `thing,moment\na,${at}\na,2001-03-01T12:34:56Z\nb,1999-01-01T00:00:00Z\n`)
      const make = (spine: DatasetOptions['spine'], asOf: 'at' | 'before') =>
        createDataset(opened.db, unknowing, { spine, time: 'moment', asOf, out: join(folder, 'set.csv'), overwrite: true })
      const byFile = await make({ file }, 'at')
      expect(byFile.unchecked).toEqual([
        expect.stringMatching(
          /from a file, and 1 of its 3 rows has the key and the time of a row of the source "things"\. .* \(nothing says when/,
        ),
      ])
      // as rows of a dimension, which hold from a moment on
      await writeFile(join(folder, 'later.csv'), `thing,moment\na,2001-03-01T12:34:56Z\nb,1999-01-01T00:00:00Z\n`)
      expect((await make({ file: join(folder, 'later.csv') }, 'at')).unchecked).toEqual([])
      expect((await make({ file }, 'before')).unchecked).toEqual([])
      const opaque = await make({ sql: 'SELECT thing, at AS moment FROM opaque_things()' }, 'at')
      expect(opaque.unchecked).toEqual([
        expect.stringMatching(/comes from the function "opaque_things", and \d+ of its \d+ rows have the key/),
      ])
    })

    it('reports a missing source', async () => {
      const spec = viewSpec('things', [requiredThing], { kind: 'continuous' })
      const over = (relation: SourceRelation) =>
        compileView({ spec: { ...spec, source: { ...spec.source, known: null, relation } }, code: null, fingerprint: 'f' })
      for (const relation of [
        { kind: 'table', table: 'nowhere' },
        { kind: 'sql', sql: 'SELECT * FROM nowhere' },
        { kind: 'sql', sql: 'SELECT thing, at, known, j FROM things' },
      ] as const) {
        const lost = service([{ plan: over(relation), alias: null, key: ['thing'] }])
        const made = createDataset(opened.db, lost, { spine: { sql: spine }, out: join(folder, 'set.csv') })
        await expect(made).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
      }
      const escaping = over({ kind: 'sql', sql: 'SELECT * FROM things) s; CREATE TABLE pwned (a int); SELECT * FROM (SELECT 1' })
      const made = createDataset(opened.db, service([{ plan: escaping, alias: null, key: ['thing'] }]), {
        spine: { sql: spine },
        out: join(folder, 'set.csv'),
        asOf: 'before',
      })
      await expect(made).rejects.toMatchObject({ code: 'DEFINITIONS_INVALID' })
      expect(await opened.db.query(`SELECT to_regclass('pwned') AS pwned`)).toEqual([{ pwned: null }])
    })

    it('leaves nothing after a failure, and does not touch an existing file', async () => {
      const out = join(folder, 'set.csv')
      const failing = service([{ plan: things('known'), alias: null, key: ['thing'] }], {
        spec: pressure,
        code: '({ it }) => { if (it.last === 1) throw new Error("not one"); return { pressure: 1 } }',
      })
      const failed = createDataset(opened.db, failing, { spine: { sql: spine }, out })
      await expect(failed).rejects.toMatchObject({ code: 'TRANSFORM_FAILED' })
      await expect(failed).rejects.toThrow(/moment 2001-03-01T11:59:59\.999999Z: not one\. .* The row of the spine has "thing" = "a"\.$/)
      const controller = new AbortController()
      const aborted = createDataset(opened.db, asked, {
        spine: { sql: spine },
        out,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error('enough')),
      })
      await expect(aborted).rejects.toThrow('enough')
      expect(await readdir(folder)).toEqual([])
      expect(await leftovers()).toEqual([])
      await createDataset(opened.db, asked, { spine: { sql: spine }, out })
      const before = await readFile(out)
      await expect(createDataset(opened.db, asked, { spine: { sql: `${spine} LIMIT 1` }, out })).rejects.toMatchObject({
        code: 'FILE_EXISTS',
      })
      expect(await readFile(out)).toEqual(before)
      await expect(createDataset(opened.db, asked, { spine: { sql: spine }, out: join(folder, 'none', 'set.csv') })).rejects.toMatchObject({
        code: 'WRITE_FAILED',
      })
      const shorter = await createDataset(opened.db, asked, { spine: { sql: `${spine} LIMIT 1` }, out, overwrite: true })
      expect(shorter.file.rows).toBe(1)
      expect(existsSync(`${out}.manifest.json`)).toBe(true)
      expect((await readdir(folder)).toSorted()).toEqual(['set.csv', 'set.csv.manifest.json'])
    })

    it('refuses a name that is taken, or of another kind, before it looks at the spine', async () => {
      const wrong = { spine: { sql: 'SELEC 1' } }
      await writeFile(join(folder, 'taken.csv'), 'precious')
      await writeFile(join(folder, 'free.csv.manifest.json'), 'precious')
      for (const [name, code] of [
        ['taken.csv', 'FILE_EXISTS'],
        ['free.csv', 'FILE_EXISTS'],
        ['set.json', 'USAGE'],
        ['set', 'USAGE'],
      ] as const) {
        await expect(createDataset(opened.db, asked, { ...wrong, out: join(folder, name) })).rejects.toMatchObject({
          code,
          message: expect.stringContaining(name),
        })
      }
      const twice = createDataset(opened.db, asked, { spine: { sql: spine }, out: join(folder, 'set.csv'), columns: ['label', 'label'] })
      await expect(twice).rejects.toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('"label"') })
      expect((await readdir(folder)).toSorted()).toEqual(['free.csv.manifest.json', 'taken.csv'])
    })

    it('keeps the old pair if a later step fails, and adds nothing', async () => {
      const out = join(folder, 'set.csv')
      const beside = `${out}.manifest.json`
      const recorded = async () => (await opened.db.kysely.selectFrom('lockstep.datasets').select('id').execute()).length
      await createDataset(opened.db, asked, { spine: { sql: spine }, out })
      const old = [await readFile(out), await readFile(beside), await recorded()]
      const again = () => createDataset(opened.db, asked, { spine: { sql: `${spine} LIMIT 1` }, out, overwrite: true })

      await opened.db.script(`
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room in the registry'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON lockstep.datasets FOR EACH ROW EXECUTE FUNCTION refuse()`)
      try {
        await expect(again()).rejects.toThrow('no room in the registry')
        const fresh = createDataset(opened.db, asked, { spine: { sql: spine }, out: join(folder, 'new.csv') })
        await expect(fresh).rejects.toThrow('no room in the registry')
      } finally {
        await opened.db.script('DROP TRIGGER refuse ON lockstep.datasets; DROP FUNCTION refuse')
      }
      expect([await readFile(out), await readFile(beside), await recorded()]).toEqual(old)
      expect((await readdir(folder)).toSorted()).toEqual(['set.csv', 'set.csv.manifest.json'])

      await rename(out, join(folder, 'moved.csv'))
      await mkdir(join(out, 'full'), { recursive: true })
      await expect(again()).rejects.toMatchObject({ code: 'WRITE_FAILED', message: expect.stringContaining('set.csv') })
      expect([await readFile(beside), await recorded()]).toEqual(old.slice(1))
      expect((await readdir(folder)).toSorted()).toEqual(['moved.csv', 'set.csv', 'set.csv.manifest.json'])
    })
  })
}
