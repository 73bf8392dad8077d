import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { SchemaElement } from 'hyparquet'
import { parquetWriteFile } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ColumnType, Value } from '../../kernel/values/value-type.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { readRows } from './read-values.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-read-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function textFile(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** All values of the named column, read as `type`. */
async function columnOf(path: string, name: string, type: ColumnType): Promise<(Value | null)[]> {
  return (await readRows(path, [{ name, type }])).map(([value]) => value ?? null)
}

async function typesOf(path: string): Promise<(ColumnType | null)[]> {
  return (await openTabularFile(path)).columns.map(({ type }) => type)
}

describe('a Parquet file', () => {
  const gzipped = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes))

  function parquetFile(name: string, elements: SchemaElement[], data: unknown[][], codec?: 'GZIP', compress = gzipped): string {
    const path = join(folder, name)
    const top = elements.filter((element) => element.name !== 'list' && element.name !== 'element')
    parquetWriteFile({
      filename: path,
      schema: [{ name: 'root', num_children: top.length }, ...elements],
      columnData: top.map((element, i) => ({ name: element.name, data: data[i] ?? [] })),
      ...(codec === undefined ? {} : { codec, compressors: { GZIP: compress } }),
    })
    return path
  }
  const optional = { repetition_type: 'OPTIONAL' } as const

  it('reports its types and its number of rows', async () => {
    const path = createRequire(import.meta.url)
      .resolve('vega-datasets')
      .replace(/vega-datasets\/.*/, 'vega-datasets/data/flights-3m.parquet')
    const file = await openTabularFile(path)
    expect(file.rows).toBe(3_000_000)
    expect(file.columns).toEqual([
      { name: 'date', type: { kind: 'timestamp' }, described: 'INT64 TIMESTAMP' },
      { name: 'delay', type: { kind: 'int64' }, described: 'INT64' },
      { name: 'distance', type: { kind: 'int64' }, described: 'INT64' },
      { name: 'origin', type: { kind: 'string' }, described: 'BYTE_ARRAY STRING' },
      { name: 'destination', type: { kind: 'string' }, described: 'BYTE_ARRAY STRING' },
    ])
    for await (const batch of file.batches(['destination', 'date'])) {
      expect([batch.firstRow, batch.columns[0]?.[0], batch.columns[1]?.[0]]).toEqual([1, 'PHL', 978_307_260_000_000])
      break
    }
  })

  it('reads times of every unit as exact microseconds, and days as midnights', async () => {
    const time = (unit: 'MILLIS' | 'MICROS' | 'NANOS'): SchemaElement => ({
      ...optional,
      name: unit,
      type: 'INT64',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: false, unit },
    })
    const path = parquetFile(
      'times.parquet',
      [time('MILLIS'), time('MICROS'), time('NANOS'), { ...optional, name: 'day', type: 'INT32', converted_type: 'DATE' }],
      [
        [978_307_200_001n, null, -1n],
        [978_307_200_000_001n, null, -9_007_199_254_740_991n],
        [978_307_200_000_001_999n, null, -1n],
        [11_323, null, -1],
      ],
    )
    expect(await typesOf(path)).toEqual(Array.from({ length: 4 }, () => ({ kind: 'timestamp' })))
    expect(await columnOf(path, 'MILLIS', { kind: 'timestamp' })).toEqual([978_307_200_001_000, null, -1000])
    expect(await columnOf(path, 'MICROS', { kind: 'timestamp' })).toEqual([978_307_200_000_001, null, -9_007_199_254_740_991])
    expect(await columnOf(path, 'NANOS', { kind: 'timestamp' })).toEqual([978_307_200_000_001, null, -1])
    expect(await columnOf(path, 'day', { kind: 'timestamp' })).toEqual([978_307_200_000_000, null, -86_400_000_000])
  })

  it('reads a column that the file declares to be without values as any type', async () => {
    const path = parquetFile(
      'nulls.parquet',
      [{ ...optional, name: 'none', type: 'INT32', logical_type: { type: 'NULL' } }],
      [[null, null]],
    )
    expect((await openTabularFile(path)).columns).toEqual([
      { name: 'none', type: { kind: 'string' }, described: 'INT32 NULL', empty: true },
    ])
    const types = ['bool', 'int64', 'float64', 'string', 'timestamp'].map((kind) => ({ kind }) as ColumnType)
    for (const type of [...types, { kind: 'vector', length: 3 } as const]) expect(await columnOf(path, 'none', type)).toEqual([null, null])
  })

  it('refuses a time past 2^53 microseconds with its row, even if rounding would pass', async () => {
    const path = parquetFile(
      'late.parquet',
      [{ ...optional, name: 't', type: 'INT64', converted_type: 'TIMESTAMP_MICROS' }],
      [[0n, 9_007_199_254_740_993n]],
    )
    await expect(columnOf(path, 't', { kind: 'timestamp' })).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: `Row 2 of "${path}": column "t" is 9007199254740993 microseconds, which is outside +-2^53 (about the years 1684 to 2255); correct the row.`,
    })
  })

  it('reads 64-bit integers exactly, and narrower and unsigned ones in their range', async () => {
    const path = parquetFile(
      'integers.parquet',
      [
        { ...optional, name: 'int64', type: 'INT64' },
        { ...optional, name: 'uint64', type: 'INT64', converted_type: 'UINT_64' },
        { ...optional, name: 'uint32', type: 'INT32', converted_type: 'UINT_32' },
        { ...optional, name: 'int8', type: 'INT32', converted_type: 'INT_8' },
      ],
      [
        [9_007_199_254_740_993n, null, -1n],
        [2n ** 63n - 1n, null, 2n ** 64n - 1n],
        [4_294_967_295, null, 0],
        [-128, null, 127],
      ],
    )
    expect(await typesOf(path)).toEqual([{ kind: 'int64' }, { kind: 'int64' }, { kind: 'int64' }, { kind: 'int32' }])
    expect(await columnOf(path, 'int64', { kind: 'int64' })).toEqual([9_007_199_254_740_993n, null, -1n])
    expect(await columnOf(path, 'uint32', { kind: 'int64' })).toEqual([4_294_967_295n, null, 0n])
    expect(await columnOf(path, 'int8', { kind: 'int32' })).toEqual([-128, null, 127])
    await expect(columnOf(path, 'uint64', { kind: 'int64' })).rejects.toThrow(
      /Row 3 .*column "uint64" is 18446744073709551615, which is outside/,
    )
    await expect(columnOf(path, 'int64', { kind: 'int32' })).rejects.toThrow(
      /Row 1 .*"int64" is 9007199254740993, which is outside the range of a 32-bit integer/,
    )
  })

  it('reads decimals as the nearest float, and small ones without rounding error', async () => {
    const path = parquetFile(
      'decimals.parquet',
      [
        { ...optional, name: 'price', type: 'INT32', converted_type: 'DECIMAL', scale: 2, precision: 9 },
        { ...optional, name: 'wide', type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, converted_type: 'DECIMAL', scale: 3, precision: 38 },
      ],
      [
        [1.15, null, -0.07],
        [123n, null, -(10n ** 30n) - 1n],
      ],
    )
    expect(await columnOf(path, 'price', { kind: 'float64' })).toEqual([1.15, null, -0.07])
    expect(await columnOf(path, 'wide', { kind: 'float64' })).toEqual([0.123, null, -1e27])
  })

  it('gives decimals as exact text', async () => {
    const decimal = (scale: number) =>
      ({ ...optional, type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, converted_type: 'DECIMAL', scale, precision: 38 }) as const
    const path = parquetFile(
      'decimal-text.parquet',
      [
        { ...decimal(2), name: 'two' },
        { ...decimal(0), name: 'none' },
      ],
      [
        [12_345n, 5n, -5n, 0n, -12_300n, -(10n ** 30n)],
        [7n, 0n, -7n, null, null, 10n ** 30n],
      ],
    )
    expect(await columnOf(path, 'two', { kind: 'string' })).toEqual([
      '123.45',
      '0.05',
      '-0.05',
      '0.00',
      '-123.00',
      `-1${'0'.repeat(28)}.00`,
    ])
    expect(await columnOf(path, 'none', { kind: 'string' })).toEqual(['7', '0', '-7', null, null, `1${'0'.repeat(30)}`])
  })

  it('reads lists of floats as vectors, and refuses other lengths', async () => {
    const list: SchemaElement[] = [
      { ...optional, name: 'embedding', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type: 'OPTIONAL', type: 'DOUBLE' },
    ]
    const path = parquetFile('vectors.parquet', list, [[null, [0.5, 2], [1, 2, 3]]])
    expect(await typesOf(path)).toEqual([{ kind: 'vector', length: 2 }])
    await expect(columnOf(path, 'embedding', { kind: 'vector', length: 2 })).rejects.toThrow(/Row 3 .*"embedding" has 3 elements, not 2/)
    const holed = parquetFile('holed.parquet', list, [[[0.5, null]]])
    await expect(columnOf(holed, 'embedding', { kind: 'vector', length: 2 })).rejects.toThrow(
      'has an element 2 that is null, which is not a number',
    )
  })

  it('reads compressed pages', async () => {
    const path = parquetFile(
      'gzip.parquet',
      [{ ...optional, name: 's', type: 'BYTE_ARRAY', converted_type: 'UTF8' }],
      [['é', null, '']],
      'GZIP',
    )
    expect(await columnOf(path, 's', { kind: 'string' })).toEqual(['é', null, ''])
  })

  it('reads untyped bytes as text if they are valid text', async () => {
    const element: SchemaElement = { ...optional, name: 'raw', type: 'BYTE_ARRAY' }
    const text = parquetFile('text.parquet', [element], [[Buffer.from('naïve \uFFFD'), null]])
    expect(await columnOf(text, 'raw', { kind: 'string' })).toEqual(['naïve \uFFFD', null])
    const bytes = parquetFile('bytes.parquet', [element], [[Buffer.from([0x61, 0xff])]])
    await expect(columnOf(bytes, 'raw', { kind: 'string' })).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining(bytes),
    })
  })

  it('names a requested column whose type is unreadable', async () => {
    const path = parquetFile('clock.parquet', [{ ...optional, name: 'clock', type: 'INT32', converted_type: 'TIME_MILLIS' }], [[1]])
    expect(await typesOf(path)).toEqual([null])
    await expect(columnOf(path, 'clock', { kind: 'int32' })).rejects.toThrow('The column "clock"')
  })

  it('whose footer or pages are damaged is refused, and harms no other work', async () => {
    const columns: SchemaElement[] = ['aa', 'bb'].map((name) => ({ ...optional, name, type: 'INT64' }))
    const data = [
      [1n, 2n],
      [3n, 4n],
    ]
    const good = await readFile(parquetFile('good.parquet', columns, data))
    const twice = Buffer.from(good)
    twice.write('aa', good.lastIndexOf('bb'))
    const footer = good.subarray(good.length - 8 - good.readUInt32LE(good.length - 8))
    const opened = async (name: string, bytes: Uint8Array) => await columnOf(await textFile(name, bytes), 'aa', { kind: 'int64' })
    await expect(opened('twice.parquet', twice)).rejects.toThrow(/does not have the column "bb" where the schema has it/)
    await expect(opened('cut.parquet', Buffer.concat([good.subarray(0, 4), footer]))).rejects.toThrow(/column "(aa|bb)" outside the file/)
    // hyparquet would look for columns of GeoParquet for ever
    const endless = parquetFile('endless.parquet', [{ ...optional, name: 'aa', type: 'INT64', num_children: -1 }], data)
    expect(await columnOf(endless, 'aa', { kind: 'int64' })).toEqual([1n, 2n])
    const bomb = parquetFile('bomb.parquet', columns, data, 'GZIP', () => gzipped(new Uint8Array(1_000_000)))
    await expect(columnOf(bomb, 'aa', { kind: 'int64' })).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
  })

  it('is refused with its name if it is damaged', async () => {
    const path = await textFile('damaged.parquet', 'PAR1 this is none')
    await expect(openTabularFile(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE', message: expect.stringContaining(path) })
  })
})

it.each(['folder', 'folder.csv', 'folder.jsonl', 'folder.parquet'])('a folder "%s" is no file', async (name) => {
  const path = join(folder, name)
  await mkdir(path)
  await expect(typesOf(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE', message: expect.stringMatching(/is a folder/) as string })
})

describe('a CSV file', () => {
  it('is text by column: an empty field is null, quotes around nothing are empty text', async () => {
    const path = await textFile('quotes.csv', '\uFEFFa,"b ""x""",c\r\n1,"line\nbreak, ""quoted""",\r\n"",é,🛫\r\n\r\n')
    const file = await openTabularFile(path)
    expect(file.columns.map(({ name, type }) => [name, type?.kind])).toEqual([
      ['a', 'string'],
      ['b "x"', 'string'],
      ['c', 'string'],
    ])
    expect(file.rows).toBe(null)
    for await (const batch of file.batches(['c', 'a', 'b "x"'])) {
      expect(batch).toEqual({
        firstRow: 1,
        rows: 2,
        columns: [
          [null, '🛫'],
          ['1', ''],
          ['line\nbreak, "quoted"', 'é'],
        ],
      })
    }
  })

  it('converts text to every type, strictly', async () => {
    const path = await textFile('typed.csv', 'v\n 1 \n-2\n+3\n4.0\n')
    expect(await columnOf(path, 'v', { kind: 'int32' })).toEqual([1, -2, 3, 4])
    expect(await columnOf(path, 'v', { kind: 'int64' })).toEqual([1n, -2n, 3n, 4n])
    expect(await columnOf(path, 'v', { kind: 'float64' })).toEqual([1, -2, 3, 4])
    const floats = await textFile('floats.csv', 'v\nNaN\ninf\n-Infinity\n.5\n1e-3\n')
    expect(await columnOf(floats, 'v', { kind: 'float32' })).toEqual([Number.NaN, Infinity, -Infinity, 0.5, Math.fround(0.001)])
    const flags = await textFile('flags.csv', 'v\ntrue\nF\n1\n0\n')
    expect(await columnOf(flags, 'v', { kind: 'bool' })).toEqual([true, false, true, false])
    const times = await textFile('times.csv', 'v\n2001-01-01 00:00:00.000001\n2001-01-01T02:00:00+02:00\n2001-01-01\n')
    expect(await columnOf(times, 'v', { kind: 'timestamp' })).toEqual([978_307_200_000_001, 978_307_200_000_000, 978_307_200_000_000])
  })

  it('reads integer JSON numbers beyond 2^53 exactly, in any notation', async () => {
    const path = await textFile(
      'whole.jsonl',
      '{"v":9007199254740993.0}\n{"v":9.007199254740993e15}\n{"v":90071992547409930e-1}\n{"v":1e3}\n',
    )
    expect(await columnOf(path, 'v', { kind: 'int64' })).toEqual([9007199254740993n, 9007199254740993n, 9007199254740993n, 1000n])
    const fraction = await textFile('fraction.jsonl', '{"v":9007199254740992.5}\n')
    await expect(columnOf(fraction, 'v', { kind: 'int64' })).rejects.toMatchObject({ code: 'INVALID_ROW' })
    expect(await columnOf(fraction, 'v', { kind: 'float64' })).toEqual([9007199254740992])
  })

  it.each([
    ['int32', 'x', 'is "x", which is not a whole number'],
    ['int32', '1.5', 'is "1.5", which is not a whole number'],
    ['int32', '2147483648', 'is 2147483648, which is outside the range of a 32-bit integer'],
    ['int64', '9223372036854775808', 'is 9223372036854775808, which is outside the range of a 64-bit integer'],
    ['float64', '0x10', 'is "0x10", which is not a number'],
    ['float64', '1e400', 'is "1e400", which is outside the range of a float64'],
    ['float32', '1e39', 'is 1e+39, which is outside the range of a float32'],
    ['bool', 'yes', 'is "yes", which is not true or false'],
    ['timestamp', '1/2/2001', 'is "1/2/2001", which is not a time'],
    ['timestamp', '978307200000', 'is "978307200000", which is not a time'],
  ] as const)('refuses as %s the text %s', async (kind, text, message) => {
    const path = await textFile('refused.csv', `v\n\n${text}\n`)
    await expect(columnOf(path, 'v', { kind })).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining(`Row 2 of "${path}": column "v" ${message}`),
      details: { path, row: 2, column: 'v' },
    })
  })

  it('names the row that has too many fields', async () => {
    const path = await textFile('ragged.csv', 'a,b\n1,2\n1,2,3\n')
    await expect(columnOf(path, 'a', { kind: 'int32' })).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining(`Row 2 of "${path}"`),
    })
  })

  it('is refused without a header, with a duplicate name, or if it is not UTF-8', async () => {
    await expect(openTabularFile(await textFile('none.csv', ''))).rejects.toThrow('it has no header')
    await expect(openTabularFile(await textFile('twice.csv', 'a,b,a\n'))).rejects.toThrow('names the column "a" twice')
    await expect(openTabularFile(await textFile('nameless.csv', 'a,,b\n'))).rejects.toThrow('no name for column 2')
    await expect(openTabularFile(await textFile('latin.csv', Buffer.from('a\nM\xfcnchen\n', 'latin1')))).rejects.toThrow(
      'it is not UTF-8 text',
    )
    const cut = await textFile('cut.csv', Buffer.from('a\nMü').subarray(0, -1))
    await expect(openTabularFile(cut).then(() => columnOf(cut, 'a', { kind: 'string' }))).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('it ends inside a character'),
    })
  })

  it('counts rows across batches', async () => {
    const path = await textFile('long.csv', `v\n${'1\n'.repeat(25_000)}x\n`)
    await expect(columnOf(path, 'v', { kind: 'int32' })).rejects.toThrow('Row 25001 ')
  })
})

describe('a JSON lines file', () => {
  it('infers its types from its rows', async () => {
    const path = await textFile(
      'types.jsonl',
      [
        { flag: true, whole: 1, part: 1, text: 'a', vector: [1, 2], mixed: 1, none: null },
        { flag: false, whole: 2, part: 1.5, text: 'b', vector: [3, 4], mixed: 'x' },
      ]
        .map((row) => JSON.stringify(row))
        .join('\n'),
    )
    const file = await openTabularFile(path)
    expect(Object.fromEntries(file.columns.map(({ name, type }) => [name, type]))).toEqual({
      flag: { kind: 'bool' },
      whole: { kind: 'int64' },
      part: { kind: 'float64' },
      text: { kind: 'string' },
      vector: { kind: 'vector', length: 2 },
      mixed: null,
      none: { kind: 'string' },
    })
    expect(await columnOf(path, 'vector', { kind: 'vector', length: 2 })).toEqual([new Float32Array([1, 2]), new Float32Array([3, 4])])
    expect(await columnOf(path, 'none', { kind: 'string' })).toEqual([null, null])
  })

  it('keeps integers exact at any size, as numbers and as decimal strings', async () => {
    const path = await textFile(
      'big.ndjson',
      '{"n":9007199254740993}\n{"n":-9223372036854775808}\n{"n":"9223372036854775807"}\n{"n":7}\n\n',
    )
    expect(await columnOf(path, 'n', { kind: 'int64' })).toEqual([9_007_199_254_740_993n, -(2n ** 63n), 2n ** 63n - 1n, 7n])
  })

  it('names the line that is not a JSON object or has a number out of range', async () => {
    await expect(openTabularFile(await textFile('broken.jsonl', '{"a":1}\n{"a":\n'))).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringContaining('Line 2 of '),
    })
    await expect(openTabularFile(await textFile('array.jsonl', '[1]\n'))).rejects.toThrow('it is an array of 1, not an object')
    await expect(openTabularFile(await textFile('huge.jsonl', '{"a":1e400}\n'))).rejects.toThrow(
      'the number 1e400 is outside the range of a float64',
    )
  })

  it('names a field that no earlier row has', async () => {
    const path = await textFile('late.jsonl', `${'{"a":1}\n'.repeat(10_000)}{"a":1,"b":2}\n`)
    await expect(columnOf(path, 'a', { kind: 'int32' })).rejects.toThrow(
      `Row 10001 of "${path}" has the field "b", which no earlier row has`,
    )
  })

  it('refuses bare numbers as times, because their unit is unknown', async () => {
    const path = await textFile('epoch.jsonl', '{"t":"2001-01-01"}\n{"t":978307200000}\n')
    await expect(columnOf(path, 't', { kind: 'timestamp' })).rejects.toThrow(
      `Row 2 of "${path}": column "t" is 978307200000, which is not a time; write times as 2001-07-01T00:00:00Z`,
    )
  })
})

describe('a file of another kind', () => {
  it('is refused, naming it and the kinds there are', async () => {
    await expect(openTabularFile('/somewhere/rows.xlsx')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('"/somewhere/rows.xlsx"'),
    })
  })

  it('is refused if it does not exist', async () => {
    for (const kind of ['parquet', 'csv', 'jsonl']) {
      await expect(openTabularFile(join(folder, `absent.${kind}`))).rejects.toMatchObject({
        code: 'FILE_UNREADABLE',
        message: expect.stringContaining('there is no such file or folder'),
      })
    }
  })
})
