import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parquetFiles, source, t } from '../../index.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { globPattern, listFiles } from '../../offline/source-files/list-files.ts'
import { sourceRows } from '../../offline/source-files/source-rows.ts'
import type { StoredFile } from '../../offline/source-files/stored-files.ts'
import { compareFiles, filesDifference } from '../../offline/source-files/stored-files.ts'

const rest = { key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } }

describe('the files of a source', () => {
  it('are declared by absolute names, with a first time and a schedule', () => {
    const { files, spec } = source('s', {
      ...rest,
      files: parquetFiles('s3://lake/flights/', { from: '2001-01-02', schedule: '0 * * * *' }),
    })
    expect(files).toEqual({ patterns: ['s3://lake/flights/**/*.parquet'], fromMicros: 978_393_600_000_000, schedule: '0 * * * *' })
    expect(source('s', { ...rest, files: parquetFiles(['/a/*.parquet', 'gs://b/c.parquet']) }).files?.patterns).toHaveLength(2)
    expect(source('s', rest).spec).toEqual(spec)
  })

  it('are refused where they cannot be read, or another thing feeds the source', () => {
    for (const wrong of ['rows/*.parquet', 's3://*/x.parquet', '', 7 as never])
      expect(() => parquetFiles(wrong)).toThrow('write an absolute path or a URL')
    expect(() => parquetFiles([])).toThrow('names no files')
    expect(() => parquetFiles('/a.parquet', { from: 'soon' })).toThrow('The "from" of the files "/a.parquet" is "soon"')
    expect(() => parquetFiles('/a.parquet', { schedule: 'daily' })).toThrow('The schedule of the files "/a.parquet"')
    expect(() => parquetFiles('/a.parquet', { hive: true } as never)).toThrow('unknown option "hive"')
    const files = parquetFiles('/a.parquet')
    expect(() => source('s', { ...rest, table: 'x', files })).toThrow('has both "table" and "files"')
    expect(() => source('s', { ...rest, files: structuredClone(files) })).toThrow('write parquetFiles(')
  })
})

it('patterns stand for names as in a shell', () => {
  const matches = (pattern: string, name: string): boolean => globPattern(pattern).test(name)
  expect(matches('s3://b/x/**/*.parquet', 's3://b/x/day=1/y/a.parquet')).toBe(true)
  expect(matches('s3://b/x/**/*.parquet', 's3://b/x/a.parquet')).toBe(true)
  expect(matches('s3://b/x/*.parquet', 's3://b/x/y/a.parquet')).toBe(false)
  expect(matches('/x/day={2001-01-0?,2002-*}/a.parquet', '/x/day=2001-01-03/a.parquet')).toBe(true)
  expect(matches('/x/day={2001-01-0?,2002-*}/a.parquet', '/x/day=2003/a.parquet')).toBe(false)
  expect(matches('/x/a+(1).parquet', '/x/a+(1).parquet')).toBe(true)
  expect(matches('/x/a.parquet', '/x/aXparquet')).toBe(false)
})

const spec: SourceSpec = source('flights', rest).spec
const listed = (path: string, etag = 'a') => ({ path, bytes: 10, etag })
const stored = (path: string, change: Partial<StoredFile> = {}): StoredFile => ({
  path,
  etag: 'a',
  bytes: 10,
  rows: 5,
  olderRows: 0,
  bytesRead: 10,
  columns: ['origin', 'date', 'delay'],
  from: null,
  minEvent: null,
  maxEvent: null,
  syncedAt: new Date(0),
  load: '1',
  ...change,
})

it('files are new, as they were, changed or gone', () => {
  const difference = compareFiles(
    spec,
    { fromMicros: null },
    ['new', 'same', 'etag', 'column', 'from', 'fromButAll'].map((path) => listed(path, path === 'etag' ? 'b' : 'a')),
    [
      stored('same'),
      stored('etag'),
      stored('column', { columns: ['origin', 'date'] }),
      stored('from', { from: new Date(9), olderRows: 3 }),
      stored('fromButAll', { from: new Date(9) }),
      stored('gone'),
    ],
  )
  expect(difference).toMatchObject({ fresh: [{ path: 'new' }], vanished: [{ path: 'gone' }], present: 2 })
  expect(difference.changed.map(({ file, why }) => [file.path, why])).toEqual([
    ['etag', 'its ETag is now b, not a'],
    ['column', 'it was loaded without the column "delay"'],
    ['from', '3 of its rows were left out by the previous "from"'],
  ])
  const later = compareFiles(spec, { fromMicros: 10_000 }, [listed('from')], [stored('from', { from: new Date(9), olderRows: 3 })])
  expect(later.changed).toEqual([])
})

it('files that a training set read are compared with those of now', () => {
  const files = (etags: Readonly<Record<string, string>>) => [
    { source: 'flights', files: Object.entries(etags).map(([path, etag]) => ({ path, etag, rows: 1 })) },
  ]
  expect(filesDifference(files({ a: '1', b: '1', c: '1' }), files({ a: '1', b: '2' }))).toEqual([
    'The file "b" of the source "flights" has the ETag 2, not 1.',
    'The rows of the file "c" of the source "flights" were removed or replaced since.',
  ])
})

it('a column of another type is refused by file, column and both types', () => {
  const file = {
    path: '/x/a.parquet',
    format: 'parquet',
    rows: 0,
    columns: [{ name: 'delay', type: { kind: 'string' }, described: 'BYTE_ARRAY STRING' }],
    batches: () => (async function* () {})(),
  } as const
  expect(() => sourceRows(spec, file, null)).toThrow(
    'The column "delay" of "/x/a.parquet" is BYTE_ARRAY STRING, but the source "flights" declares it as float64.',
  )
  // without any value, it fits every type
  const empty = { ...file, columns: [{ ...file.columns[0], empty: true }] } as const
  expect(() => sourceRows(spec, empty, null)).not.toThrow('declares it as')
})

it('a folder that is away is no folder whose files were deleted', async () => {
  const lake = await mkdtemp(join(tmpdir(), 'lockstep-lake-'))
  try {
    for (const name of ['a', 'b']) {
      await mkdir(join(lake, name))
      await writeFile(join(lake, name, '1.parquet'), '')
    }
    const patterns = [`${lake}/a/*.parquet`, `${lake}/b/*.parquet`]
    expect(await listFiles('flights', patterns)).toHaveLength(2)
    await expect(listFiles('flights', [`${lake}/a`])).rejects.toThrow('To name all Parquet files below a folder, end its name in "/".')
    await rename(join(lake, 'b'), join(lake, 'elsewhere'))
    await expect(listFiles('flights', patterns)).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining(`There are no files "${lake}/b/*.parquet" for the source "flights"`) as string,
    })
  } finally {
    await rm(lake, { recursive: true })
  }
})
