import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SchemaElement } from 'hyparquet'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { spineRows } from '../../offline/spine/spine-rows.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { readRows } from './read-values.ts'
import { createThings, service, view } from './things.ts'

const last = {
  kind: 'latest',
  name: 'last',
  column: 'i',
  type: { kind: 'int32' },
  ttlMicros: null,
  default: null,
  required: false,
} as const
const asked = service([{ plan: view(viewSpec('things', [last], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] }])
const noon = parseTimestamp('2001-03-01T12:00:00Z')
const optional = { repetition_type: 'OPTIONAL' } as const

/** One of each type that a column can have. */
const types: readonly [Column, Value][] = [
  [{ name: 'flag', type: { kind: 'bool' } }, true],
  [{ name: 'small', type: { kind: 'int32' } }, -7],
  [{ name: 'big', type: { kind: 'int64' } }, 9_007_199_254_740_993n],
  [{ name: 'single', type: { kind: 'float32' } }, Math.fround(0.1)],
  [{ name: 'double', type: { kind: 'float64' } }, 0.1],
  [{ name: 'text', type: { kind: 'string' } }, 'Zürich'],
  [{ name: 'then', type: { kind: 'timestamp' } }, noon + 1],
  [{ name: 'vector', type: { kind: 'vector', length: 2 } }, new Float32Array([1, 2])],
]

for (const { kind, open } of databases) {
  describe(`a spine from a file, in ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    beforeAll(async () => {
      opened = await open()
      folder = await mkdtemp(join(tmpdir(), 'lockstep-spine-files-'))
      await createThings(opened.db, 'things', [{ thing: 'a', eventTime: noon, knownTime: null, tie: 1, values: [1, null, null, null] }])
    })
    afterAll(async () => {
      await opened?.close()
      await rm(folder, { recursive: true })
    })

    async function load(file: string, time?: string) {
      const spine = await openSpine(opened.db, asked, { file }, { time })
      try {
        const rows = await opened.db.snapshot(async (snapshot) => {
          const all: (Value | null)[][] = []
          for await (const batch of spineRows(snapshot, spine))
            for (let i = 0; i < batch.length; i++) all.push(batch.columns.map((column) => column[i] ?? null))
          return all
        })
        return { rows, columns: spine.columns.map(({ name, type }) => `${name} ${typeName(type)}`), nullKeyRows: spine.nullKeyRows }
      } finally {
        await spine.drop()
      }
    }
    async function text(name: string, content: string): Promise<string> {
      const path = join(folder, name)
      await writeFile(path, content)
      return path
    }
    function parquet(name: string, columns: readonly [SchemaElement, unknown[]][]): string {
      const filename = join(folder, name)
      parquetWriteFile({
        filename,
        schema: [{ name: 'root', num_children: columns.length }, ...columns.map(([element]) => element)],
        columnData: columns.map(([{ name: column }, data]) => ({ name: column, data })),
      })
      return filename
    }
    const thing: [SchemaElement, unknown[]] = [{ ...optional, name: 'thing', type: 'BYTE_ARRAY', converted_type: 'UTF8' }, ['a', 'a']]
    const moment = (adjusted: boolean, unit: 'MILLIS' | 'MICROS' | 'NANOS'): SchemaElement => ({
      ...optional,
      name: 'moment',
      type: 'INT64',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: adjusted, unit },
    })

    it('accepts decimals that a float64 holds exactly, and refuses others', async () => {
      const decimal = {
        ...optional,
        name: 'order',
        type: 'FIXED_LEN_BYTE_ARRAY',
        type_length: 16,
        converted_type: 'DECIMAL',
        scale: 2,
        precision: 38,
      } as const
      const set = (name: string, last: bigint) =>
        parquet(name, [thing, [{ ...moment(true, 'MICROS') }, [new Date(noon / 1000), new Date(noon / 1000)]], [decimal, [110n, last]]])
      expect((await load(set('held.parquet', -12_345_678_901_234_500n))).rows.map((row) => row[2])).toEqual([1.1, -123_456_789_012_345])
      await expect(load(set('lost.parquet', 1_234_567_890_123_456_789_100n))).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringMatching(
          /^Row 2 of .*: column "order" is 12345678901234567891\.00, which has more digits than a float64 holds/,
        ),
      })
    })

    it('reads times with a zone in it, and times without one as UTC', async () => {
      const written = [
        '2001-03-01T12:00:00Z',
        '2001-03-01T13:00:00+01:00',
        '2001-03-01 06:30:00.000-05:30',
        '2001-03-01 12:00:00+00',
        '2001-03-01T12:00:00',
        '2001-03-01 12:00',
      ]
      const csv = await text('times.csv', `thing,timestamp\n${written.map((time) => `a,${time}\n`).join('')}`)
      const jsonl = await text('times.jsonl', written.map((time) => `${JSON.stringify({ thing: 'a', timestamp: time })}\n`).join(''))
      const strings = parquet('strings.parquet', [
        [thing[0], written.map(() => 'a')],
        [{ ...optional, name: 'timestamp', type: 'BYTE_ARRAY', converted_type: 'UTF8' }, written],
      ])
      for (const path of [csv, jsonl, strings]) expect((await load(path)).rows).toEqual(written.map(() => ['a', noon]))
      const millis = BigInt(noon / 1000)
      for (const adjusted of [true, false]) {
        for (const [unit, factor] of [
          ['MILLIS', 1n],
          ['MICROS', 1_000n],
          ['NANOS', 1_000_000n],
        ] as const) {
          const path = parquet('units.parquet', [thing, [moment(adjusted, unit), [millis * factor, millis * factor]]])
          expect((await load(path)).rows).toEqual([
            ['a', noon],
            ['a', noon],
          ])
        }
      }
      const days = parquet('days.parquet', [thing, [{ ...optional, name: 'day', type: 'INT32', converted_type: 'DATE' }, [11_382, 11_383]]])
      expect((await load(days)).rows.map((row) => row[1])).toEqual(['2001-03-01T00:00:00Z', '2001-03-02T00:00:00Z'].map(parseTimestamp))
    })

    it('names the row and the value of an invalid time', async () => {
      const strings = parquet('bad.parquet', [
        thing,
        [{ ...optional, name: 'timestamp', type: 'BYTE_ARRAY', converted_type: 'UTF8' }, ['2001-03-01', '2001-02-30']],
      ])
      for (const [path, value] of [
        [await text('bad.csv', 'thing,timestamp\na,2001-03-01\nb,yesterday\n'), 'yesterday'],
        [await text('month.csv', 'thing,timestamp\na,2001-03-01\nb,2001-13-01T00:00:00Z\n'), '2001-13-01T00:00:00Z'],
        [await text('old.csv', 'thing,timestamp\na,2001-03-01\nb,1500-01-01\n'), '1500-01-01'],
        [await text('bad.jsonl', '{"thing":"a","timestamp":"2001-03-01"}\n{"thing":"a","timestamp":"03/01/2001"}\n'), '03/01/2001'],
        [strings, '2001-02-30'],
      ] as const) {
        await expect(load(path)).rejects.toMatchObject({
          code: 'INVALID_ROW',
          message: expect.stringMatching(new RegExp(`^Row 2 of ".*": column "timestamp" is "${value}"`)),
        })
      }
    })

    it('takes a mixed column if all values have the required type, else names the row', async () => {
      const ids = await text('ids.jsonl', '{"thing":"a","timestamp":"2001-03-01","n":1}\n{"thing":"b","timestamp":"2001-03-01","n":2.5}\n')
      expect((await load(ids, 'timestamp')).columns).toEqual(['thing string', 'timestamp timestamp', 'n float64'])
      const mixed = await text('mixed.jsonl', '{"thing":"a","timestamp":"2001-03-01"}\n{"thing":7,"timestamp":"2001-03-01"}\n')
      await expect(load(mixed, 'timestamp')).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringMatching(/^Row 2 .*column "thing" is 7, which is not text/),
      })
      const times = await text('mixed-times.jsonl', '{"thing":"a","timestamp":"2001-03-01"}\n{"thing":"b","timestamp":983448000}\n')
      await expect(load(times, 'timestamp')).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringMatching(/^Row 2 .*column "timestamp" is 983448000, which is not a time/),
      })
      const other = await text(
        'other.jsonl',
        '{"thing":"a","timestamp":"2001-03-01","x":1}\n{"thing":"b","timestamp":"2001-03-01","x":"one"}\n',
      )
      await expect(load(other, 'timestamp')).rejects.toMatchObject({
        code: 'SPINE_INVALID',
        message: expect.stringContaining('"x" of the type JSON of several types'),
      })
      const late = `{"thing":"a","timestamp":"2001-03-01","x":1}\n`.repeat(10_000)
      const later = await text('later.jsonl', `${late}{"thing":"a","timestamp":"2001-03-01","x":"one"}\n`)
      await expect(load(later, 'timestamp')).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringMatching(/^Row 10001 .*column "x" is "one"/),
      })
    })

    it('refuses columns named like a feature or another column, or invalid names', async () => {
      const clash = await text('clash.csv', 'thing,timestamp,last\na,2001-03-01,1\n')
      await expect(load(clash)).rejects.toMatchObject({ code: 'FEATURE_NAME_CLASH', message: expect.stringContaining('"last"') })
      for (const name of ['_lockstep_ordinal', '']) {
        const odd = await text('odd.jsonl', `${JSON.stringify({ thing: 'a', timestamp: '2001-03-01', [name]: 1 })}\n`)
        await expect(load(odd, 'timestamp')).rejects.toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('odd.jsonl') })
      }
      const [one, two] = ['x'.repeat(70) + '1', 'x'.repeat(70) + '2']
      const long = await text('long.csv', `thing,timestamp,${one},${two}\na,2001-03-01,1,2\n`)
      await expect(load(long)).rejects.toMatchObject({ code: 'SPINE_INVALID', message: expect.stringContaining('more than once') })
    })

    it('keeps duplicates and NULL keys, in their order', async () => {
      const wanted = [
        ['b', noon, 'x'],
        [null, noon, 'y'],
        ['b', noon, 'x'],
        ['', noon, null],
        [null, noon, 'y'],
      ]
      const at = '2001-03-01T12:00:00Z'
      const csv = await text('nulls.csv', `thing,at,note\nb,${at},x\n,${at},y\nb,${at},x\n"",${at},\n,${at},y\n`)
      const jsonl = await text(
        'nulls.jsonl',
        wanted
          .map(([key, , note]) => `${JSON.stringify({ thing: key, at, note })}\n`)
          .join('')
          .replace('"thing":null,', ''),
      )
      const path = join(folder, 'nulls.parquet')
      const columns: Column<ValueType>[] = [
        { name: 'thing', type: { kind: 'string' } },
        { name: 'at', type: { kind: 'timestamp' } },
        { name: 'note', type: { kind: 'string' } },
      ]
      const writer = await createDatasetWriter(path, columns, { format: 'parquet' })
      await writer.write(columns.map((_, c) => wanted.map((row) => row[c] ?? null)))
      await writer.close()
      for (const each of [csv, jsonl, path]) {
        const { rows, nullKeyRows } = await load(each, 'at')
        expect(rows).toEqual(wanted)
        expect(nullKeyRows).toBe(2)
      }
    })

    it('keeps the types of further columns, through to the training set', async () => {
      const path = join(folder, 'types.parquet')
      const spine: Column[] = [
        { name: 'thing', type: { kind: 'string' } },
        { name: 'timestamp', type: { kind: 'timestamp' } },
        ...types.map(([column]) => column),
      ]
      const row = ['a', noon, ...types.map(([, value]) => value)]
      const writer = await createDatasetWriter(path, spine, { format: 'parquet' })
      await writer.write(
        row
          .map((value) => [value, null, value])
          .with(0, ['a', 'a', 'a'])
          .with(1, [noon, noon, noon]),
      )
      await writer.close()
      const out = join(folder, `types-${kind.slice(0, 2)}-set.parquet`)
      const manifest = await createDataset(opened.db, asked, { spine: { file: path }, time: 'timestamp', out })
      expect(manifest.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
        ...spine.map(({ name, type }) => `${name} ${typeName(type)}`),
        'last int32',
      ])
      const written = await openTabularFile(out)
      expect(written.columns.slice(0, -1).map(({ type }) => type)).toEqual(spine.map(({ type }) => type))
      const nothing = ['a', noon, ...types.map(() => null)]
      expect(await readRows(out, spine)).toEqual([row, nothing, row])

      const jsonl = await text(
        'types.jsonl',
        '{"thing":"a","at":"2001-03-01","flag":true,"n":9007199254740993,"x":0.5,"v":[1,2],"s":"x","nothing":null}\n',
      )
      expect((await load(jsonl, 'at')).columns).toEqual([
        'thing string',
        'at timestamp',
        'flag bool',
        'n int64',
        'x float64',
        'v vector(2)',
        's string',
        'nothing string',
      ])
      const csv = await text('types.csv', 'thing,at,n\na,2001-03-01,01234\n')
      expect((await load(csv, 'at')).rows[0]?.[2]).toBe('01234')
    })
  })
}
