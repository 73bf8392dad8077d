import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { shortFloat32 } from '../../kernel/values/value-json.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { budget } from '../budget.ts'
import { readRows } from './read-values.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-files-'))
})
afterAll(() => rm(folder, { recursive: true }))

const columns: Column[] = [
  { name: 'flag', type: { kind: 'bool' } },
  { name: 'small', type: { kind: 'int32' } },
  { name: 'big', type: { kind: 'int64' } },
  { name: 'single', type: { kind: 'float32' } },
  { name: 'double', type: { kind: 'float64' } },
  { name: 'text', type: { kind: 'string' } },
  { name: 'at', type: { kind: 'timestamp' } },
  { name: 'vector', type: { kind: 'vector', length: 3 } },
]

const rows: (Value | null)[][] = [
  [true, 1, 9_007_199_254_740_993n, 0.5, Number.NaN, '', 978_307_200_000_001, new Float32Array([1, 2, 3])],
  [false, -(2 ** 31), -(2n ** 63n), -0, -0, 'say "hi", \r\nthen go', -1, new Float32Array([0.1, Number.NaN, -Infinity])],
  [null, null, null, null, null, null, null, null],
  [true, 2 ** 31 - 1, 2n ** 63n - 1n, Infinity, 5e-324, 'Zürich 東京 🛫', Number.MAX_SAFE_INTEGER, new Float32Array([0, -0, 1e-45])],
  [false, 0, 0n, Math.fround(0.1), 0.1, ' padded ', 0, new Float32Array(3)],
]

/** By column, as a writer takes them. */
function byColumn(data: readonly (readonly (Value | null)[])[]): (Value | null)[][] {
  return columns.map((_, j) => data.map((row) => row[j] ?? null))
}

async function readBack(path: string): Promise<(Value | null)[][]> {
  return await readRows(path, columns)
}

/** -0 and +0 are one value once read; the bytes are looked at on their own. */
function canonicalRow(row: readonly (Value | null)[]): (Value | null)[] {
  return row.map((v) => (typeof v === 'number' ? v + 0 : v instanceof Float32Array ? v.map((x) => x + 0) : v))
}

describe('a dataset writer', () => {
  it.each(['parquet', 'csv'] as const)('writes every type to %s so that it reads back exactly', async (format) => {
    const path = join(folder, `exact.${format}`)
    const writer = await createDatasetWriter(path, columns, { format })
    await writer.write(byColumn(rows))
    await writer.write(byColumn([]))
    await writer.write(byColumn(rows.toReversed()))
    const written = await writer.close()
    const bytes = await readFile(path)
    expect(written).toEqual({ rows: 10, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
    expect(await readBack(path)).toEqual([...rows, ...rows.toReversed()].map(canonicalRow))
  })

  it('writes every type to JSON lines: exact integers, null for unsupported values', async () => {
    const path = join(folder, 'exact.jsonl')
    const writer = await createDatasetWriter(path, columns, { format: 'jsonl' })
    await writer.write(byColumn(rows.slice(0, 3)))
    await writer.write(byColumn(rows.slice(3)))
    const written = await writer.close()
    const text = await readFile(path, 'utf8')
    expect(written).toEqual({ rows: 5, bytes: Buffer.byteLength(text), sha256: createHash('sha256').update(text).digest('hex') })
    expect(text.split('\n').slice(0, 2)).toEqual([
      '{"flag":true,"small":1,"big":9007199254740993,"single":0.5,"double":null,"text":"","at":"2001-01-01T00:00:00.000001Z","vector":[1,2,3]}',
      String.raw`{"flag":false,"small":-2147483648,"big":-9223372036854775808,"single":-0,"double":-0,"text":"say \"hi\", \r\nthen go","at":"1969-12-31T23:59:59.999999Z","vector":[0.1,null,null]}`,
    ])
    const scalars = columns.slice(0, -1) // an element that is null is no vector again
    const unsayable = (v: Value | null) => (typeof v === 'number' && !Number.isFinite(v) ? null : v)
    expect(await readRows(path, scalars)).toEqual(rows.map((row) => canonicalRow(row.slice(0, -1)).map(unsayable)))
  })

  it('writes a float32 as the shortest decimal that it is nearest to', () => {
    expect([0.1, 1 / 3, 16_777_216, 1e-45, 3.4028235e38, -0.7].map((number) => String(shortFloat32(Math.fround(number))))).toEqual([
      '0.1',
      '0.33333334',
      '16777216',
      '1e-45',
      '3.4028235e+38',
      '-0.7',
    ])
    fc.assert(fc.property(fc.float(), (number) => Object.is(Math.fround(shortFloat32(number)), number)))
  })

  it('writes generated rows that read back exactly, across row groups and formats', async () => {
    const value = fc.tuple(
      fc.option(fc.boolean()),
      fc.option(fc.integer()),
      fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      fc.option(fc.float()),
      fc.option(fc.double()),
      fc.option(fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\0', ''))),
      fc.option(fc.maxSafeInteger()),
      fc.option(fc.array(fc.float(), { minLength: 3, maxLength: 3 }).map((v) => new Float32Array(v))),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 30 }), fc.constantFrom('parquet', 'csv'), fc.nat(30), async (data, format, cut) => {
        const path = join(folder, `generated.${format}`)
        const writer = await createDatasetWriter(path, columns, { format, overwrite: true })
        await writer.write(byColumn(data.slice(0, cut)))
        await writer.write(byColumn(data.slice(cut)))
        expect((await writer.close()).rows).toBe(data.length)
        expect(await readBack(path)).toEqual(data.map(canonicalRow))
      }),
      { numRuns: budget(60) },
    )
  })

  it('writes Parquet with its types, in row groups of 20,000', async () => {
    const path = join(folder, 'groups.parquet')
    const writer = await createDatasetWriter(
      path,
      [
        { name: 'n', type: { kind: 'int32' } },
        { name: 'at', type: { kind: 'timestamp' } },
      ],
      { format: 'parquet' },
    )
    for (let batch = 0; batch < 5; batch++) {
      const numbers = Array.from({ length: 9_000 }, (_, i) => batch * 9_000 + i)
      await writer.write([numbers, numbers.map((n) => n * 1_000_000)])
    }
    await writer.close()
    const file = (await readFile(path)).buffer
    const metadata = parquetMetadata(file)
    expect(metadata.row_groups.map((group) => Number(group.num_rows))).toEqual([20_000, 20_000, 5_000])
    expect(metadata.schema[2]?.logical_type).toEqual({ type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' })
    const objects = await parquetReadObjects({ file })
    expect(objects.map((row) => row['n'] as number)).toEqual(Array.from({ length: 45_000 }, (_, i) => i))
    expect(objects[44_999]?.['at']).toEqual(new Date('1970-01-01T12:29:59Z'))
  })

  it('splits long text of a row group of Parquet into pages of 1 MiB', async () => {
    const pages = async (name: string, length: number): Promise<(number | undefined)[]> => {
      const path = join(folder, name)
      const typed: Column[] = [
        { name: 'number', type: { kind: 'float64' } },
        { name: 'text', type: { kind: 'string' } },
      ]
      const writer = await createDatasetWriter(path, typed, { format: 'parquet' })
      const numbers = Array.from({ length: 20_000 }, (_, i) => (i === 19_999 ? null : i / 7))
      const texts = numbers.map((_, i) => String(i).padStart(length, 'x'))
      await writer.write([numbers, texts])
      await writer.close()
      const { buffer } = new Uint8Array(await readFile(path))
      expect(JSON.stringify(await readRows(path, typed))).toBe(JSON.stringify(numbers.map((number, i) => [number, texts[i]])))
      return parquetMetadata(buffer).row_groups.flatMap((group) =>
        group.columns.map((column) => column.meta_data?.encoding_stats?.find(({ page_type }) => page_type === 'DATA_PAGE_V2')?.count),
      )
    }
    expect(await pages('short.parquet', 40)).toEqual([1, 1])
    expect(await pages('long.parquet', 110)).toEqual([1, 3])
  })

  it('writes lists and counts, empty and null ones and null elements among them', async () => {
    const nested: Column<ValueType>[] = [
      { name: 'texts', type: { kind: 'list', of: { kind: 'string' }, nulls: true } },
      { name: 'bigs', type: { kind: 'list', of: { kind: 'int64' }, nulls: false } },
      { name: 'times', type: { kind: 'list', of: { kind: 'timestamp' }, nulls: true } },
      { name: 'floats', type: { kind: 'list', of: { kind: 'float64' }, nulls: true } },
      { name: 'counts', type: { kind: 'counts' } },
    ]
    const data: (Value | null)[][] = [
      [
        ['a', null, '', 'say "hi", \r\n'],
        [2n ** 60n, -1n],
        [0, null],
        [0.5, null, Number.NaN],
        new Map([
          ['', 1],
          ['"q",', 2 ** 40],
          ['é', 3],
        ]),
      ],
      [[], [], [], [], new Map()],
      [null, null, null, null, null],
      [[null], [0n], [null], [null], new Map([['__proto__', 1]])],
    ]
    const columnsOf = nested.map((_, j) => data.map((row) => row[j] ?? null))
    for (const format of ['parquet', 'csv'] as const) {
      const writer = await createDatasetWriter(join(folder, `nested.${format}`), nested, { format })
      await writer.write(columnsOf)
      await writer.close()
    }
    const objects = await parquetReadObjects({ file: (await readFile(join(folder, 'nested.parquet'))).buffer })
    expect(objects.map(({ texts }) => (texts as unknown) ?? null)).toEqual(columnsOf[0])
    expect(objects.map(({ bigs }) => (bigs as unknown) ?? null)).toEqual(columnsOf[1])
    expect(objects.map(({ times }) => (times as unknown) ?? null)).toEqual([[new Date(0), null], [], null, [null]])
    expect(objects.map(({ floats }) => (floats as unknown) ?? null)).toEqual(columnsOf[3])
    expect(objects.map(({ counts }) => (counts as unknown) ?? null)).toEqual([
      { '': 1n, '"q",': 2n ** 40n, é: 3n },
      {},
      null,
      expect.anything(),
    ])
    expect((await openTabularFile(join(folder, 'nested.parquet'))).columns.map(({ name }) => name)).toEqual(nested.map(({ name }) => name))

    const csv = (await openTabularFile(join(folder, 'nested.csv'))).batches(nested.map(({ name }) => name))
    for await (const { columns: fields } of csv) {
      expect(fields.map((column) => Array.from(column))).toEqual([
        [String.raw`["a",null,"","say \"hi\", \r\n"]`, '[]', null, '[null]'],
        ['["1152921504606846976","-1"]', '[]', null, '["0"]'],
        ['["1970-01-01T00:00:00Z",null]', '[]', null, '[null]'],
        ['[0.5,null,"NaN"]', '[]', null, '[null]'],
        [String.raw`{"":1,"\"q\",":1099511627776,"é":3}`, '{}', null, '{"__proto__":1}'],
      ])
    }
  })

  it('keeps the sign of a negative zero in the bytes of both formats', async () => {
    const zero: Column[] = [{ name: 'zero', type: { kind: 'float64' } }]
    for (const format of ['parquet', 'csv'] as const) {
      const path = join(folder, `zero.${format}`)
      const writer = await createDatasetWriter(path, zero, { format })
      await writer.write([[-0, 0]])
      await writer.close()
      const file = await openTabularFile(path)
      for await (const {
        columns: [values],
      } of file.batches(['zero']))
        expect(Array.from(values ?? [], Number)).toEqual([-0, 0])
    }
  })

  it('quotes CSV by RFC 4180, and distinguishes null from empty text', async () => {
    const path = join(folder, 'quoting.csv')
    const writer = await createDatasetWriter(
      path,
      [
        { name: 'a,b', type: { kind: 'string' } },
        { name: 'at', type: { kind: 'timestamp' } },
        { name: 'x', type: { kind: 'float64' } },
      ],
      { format: 'csv' },
    )
    await writer.write([
      ['', null, 'a "b"'],
      [978_307_200_000_001, null, 0],
      [Number.NaN, -Infinity, 1e21],
    ])
    await writer.close()
    expect(await readFile(path, 'utf8')).toBe(
      '"a,b",at,x\r\n"",2001-01-01T00:00:00.000001Z,NaN\r\n,,-Infinity\r\n"a ""b""",1970-01-01T00:00:00Z,1e+21\r\n',
    )
  })

  it('keeps a row of one null in a CSV file of one column', async () => {
    const path = join(folder, 'lone.csv')
    const writer = await createDatasetWriter(path, [{ name: 'only', type: { kind: 'float64' } }], { format: 'csv' })
    await writer.write([[1, null, 3]])
    await writer.close()
    expect(await readRows(path, [{ name: 'only', type: { kind: 'float64' } }])).toEqual([[1], [null], [3]])
  })

  it('writes a valid file without rows', async () => {
    for (const format of ['parquet', 'csv'] as const) {
      const path = join(folder, `empty.${format}`)
      expect((await (await createDatasetWriter(path, columns, { format })).close()).rows).toBe(0)
      expect((await openTabularFile(path)).columns.map(({ name }) => name)).toEqual(columns.map(({ name }) => name))
      expect(await readBack(path)).toEqual([])
    }
  })

  it('refuses to overwrite a file unless configured to', async () => {
    const path = join(folder, 'taken.csv')
    await writeFile(path, 'precious')
    await expect(createDatasetWriter(path, columns, { format: 'csv' })).rejects.toMatchObject({
      code: 'FILE_EXISTS',
      message: expect.stringContaining(path),
    })
    const writer = await createDatasetWriter(path, columns, { format: 'csv', overwrite: true })
    await writer.write(byColumn(rows))
    expect(await readFile(path, 'utf8')).toBe('precious')
    await writer.close()
    expect(await readFile(path, 'utf8')).toMatch(/^flag,/)
  })

  it('lets one of two writers of the same file win', async () => {
    const own = await mkdtemp(join(folder, 'race-'))
    const path = join(own, 'raced.csv')
    const first = await createDatasetWriter(path, columns, { format: 'csv' })
    const second = await createDatasetWriter(path, columns, { format: 'csv' })
    await first.close()
    await expect(second.close()).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await readdir(own)).toEqual(['raced.csv'])
  })

  it('hides its file until it is closed, and leaves nothing after an abort', async () => {
    const own = await mkdtemp(join(folder, 'abort-'))
    const path = join(own, 'set.parquet')
    const writer = await createDatasetWriter(path, columns, { format: 'parquet' })
    await writer.write(byColumn(rows))
    expect(existsSync(path)).toBe(false)
    await writer.abort()
    await writer.abort()
    expect(await readdir(own)).toEqual([])
    await expect(writer.close()).rejects.toMatchObject({ code: 'WRITE_FAILED' })
  })

  it('leaves nothing behind if a value has the wrong type', async () => {
    const own = await mkdtemp(join(folder, 'wrong-'))
    const writer = await createDatasetWriter(join(own, 'set.parquet'), [{ name: 'n', type: { kind: 'int64' } }], { format: 'parquet' })
    await writer.write([['text']])
    await expect(writer.close()).rejects.toThrow('bigint')
    expect(await readdir(own)).toEqual([])
  })

  it('names the path if the folder does not exist', async () => {
    const path = join(folder, 'nowhere', 'set.csv')
    await expect(createDatasetWriter(path, columns, { format: 'csv' })).rejects.toMatchObject({
      code: 'WRITE_FAILED',
      message: expect.stringContaining(path),
    })
  })

  it('fails and cleans up if the disk is full', async () => {
    const own = await mkdtemp(join(folder, 'full-'))
    const path = join(own, 'set.csv')
    // a limit on the size of files stands in for a full disk
    const script = `
      const { createDatasetWriter } = await import(${JSON.stringify(new URL('../../offline/files/dataset-writer.ts', import.meta.url).href)})
      const writer = await createDatasetWriter(${JSON.stringify(path)}, [{ name: 'n', type: { kind: 'float64' } }], { format: 'csv' })
      try {
        for (;;) await writer.write([new Array(1000).fill(0.5)])
      } catch (error) {
        process.stdout.write(error.code + ' ' + error.message)
      }`
    const run = promisify(execFile)('sh', [
      '-c',
      `trap '' XFSZ; ulimit -f 64; exec "$0" --input-type=module -e "$1"`,
      process.execPath,
      script,
    ])
    const { stdout } = await run
    expect(stdout).toMatch(/^WRITE_FAILED The file ".*set\.csv" could not be written: EFBIG/)
    expect(await readdir(own)).toEqual([])
  })
})
