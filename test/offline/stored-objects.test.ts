import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDataset } from '../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { deleteDatasetFiles } from '../../offline/datasets/delete-dataset-files.ts'
import type { ExportOptions } from '../../offline/distributed-export/begin-export.ts'
import { beginExport } from '../../offline/distributed-export/begin-export.ts'
import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { mergeRanges } from '../../offline/files/file-bytes.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { verifyDataset } from '../../offline/datasets/verify-dataset.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import type { ObjectStore } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { OwnS3 } from '../services/buckets.ts'
import { environmentMs, ownS3 } from '../services/buckets.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'
import { manyThings, thingsService } from './things-set.ts'
import { createThings } from './things.ts'

// Files in object storage: rows that are read, and training sets that are written.

let s3: OwnS3
let store: ObjectStore
let folder = ''
let opened: OpenedDatabase
const signal = new AbortController().signal

beforeAll(async () => {
  s3 = await ownS3('rows')
  store = await openObjectStore('s3://rows/')
  folder = await mkdtemp(join(tmpdir(), 'lockstep-stored-'))
  opened = await (databases[0] as (typeof databases)[number]).open()
  await createThings(opened.db, 'things', [])
}, environmentMs)

afterAll(async () => {
  await opened?.close()
  s3?.stop()
  if (folder !== '') await rm(folder, { recursive: true, force: true })
})

async function textOf(url: string): Promise<string> {
  const found = await store.head(url)
  if (found === null) return ''
  return Buffer.from(await store.read(url, { from: 0, to: found.bytes })).toString()
}

async function put(url: string, text: string, overwrite = false): Promise<void> {
  const writer = await store.write(url, { overwrite })
  await writer.write(Buffer.from(text))
  await writer.seal()
  await writer.commit()
}

async function rowsOf(path: string, names: readonly string[]): Promise<unknown[][]> {
  const rows: unknown[][] = []
  for await (const { columns, rows: count } of (await openTabularFile(path)).batches(names))
    for (let row = 0; row < count; row++) rows.push(columns.map((column) => column[row] ?? null))
  return rows
}

describe('reading', () => {
  it('reads CSV and JSON lines', async () => {
    await put('s3://rows/a.csv', 'thing,n\né,1\n"b,c",\n')
    await put('s3://rows/a.jsonl', '{"thing":"é","n":1}\n{"thing":"b"}\n')
    expect(await rowsOf('s3://rows/a.csv', ['n', 'thing'])).toEqual([
      ['1', 'é'],
      [null, 'b,c'],
    ])
    expect(await rowsOf('s3://rows/a.jsonl', ['thing', 'n'])).toEqual([
      ['é', 1],
      ['b', null],
    ])
  })

  it('reads the columns of a Parquet row group in one request', async () => {
    const columns = Array.from({ length: 12 }, (_, i) => ({ name: `c${i}`, type: { kind: 'float64' } as const }))
    const writer = await createDatasetWriter('s3://rows/wide.parquet', columns, { format: 'parquet' })
    const values = columns.map((_, i) => Array.from({ length: 12_000 }, (_, row) => Math.sin(row * (i + 1))))
    await writer.write(values)
    await writer.close()
    const file = await openTabularFile('s3://rows/wide.parquet')
    const reads = vi.spyOn(store, 'read')
    const names = ['c1', 'c3', 'c7', 'c11']
    let rows = 0
    for await (const batch of file.batches(names)) {
      for (const [i, name] of names.entries()) expect(Array.from(batch.columns[i] ?? [])).toEqual(values[Number(name.slice(1))])
      rows += batch.rows
    }
    expect(rows).toBe(12_000)
    expect(reads).toHaveBeenCalledTimes(1)
    reads.mockRestore()
  })

  it('refuses a file that changes while it is read', async () => {
    const columns = [{ name: 'n', type: { kind: 'int32' } as const }]
    const write = async (values: readonly number[], overwrite: boolean) => {
      const writer = await createDatasetWriter('s3://rows/changing.parquet', columns, { format: 'parquet', overwrite })
      await writer.write([values])
      await writer.close()
    }
    // larger than what is read with the footer
    const many = Array.from({ length: 200_000 }, (_, i) => (i * 2_654_435_761) % 2 ** 31)
    await write(many, false)
    const file = await openTabularFile('s3://rows/changing.parquet')
    await write(many.toReversed(), true)
    await expect(file.batches(['n'])[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'FILE_CHANGED',
      message: expect.stringContaining('s3://rows/changing.parquet') as string,
    })
  })

  it('names a missing file, and a missing bucket', async () => {
    for (const name of ['s3://rows/none.parquet', 's3://rows/none.csv'])
      await expect(openTabularFile(name)).rejects.toMatchObject({
        code: 'FILE_UNREADABLE',
        message: expect.stringContaining(name) as string,
      })
    await expect(openTabularFile('s3://absent/x.csv')).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('"s3://absent"') as string,
    })
  })

  it('joins ranges that are near each other', () => {
    const ranges = [
      { from: 50, to: 60 },
      { from: 0, to: 10 },
      { from: 12, to: 20 },
      { from: 15, to: 18 },
    ]
    expect(mergeRanges(ranges, 2)).toEqual([
      { from: 0, to: 20 },
      { from: 50, to: 60 },
    ])
    expect(mergeRanges([], 2)).toEqual([])
  })
})

describe('training sets', () => {
  const build = (out: string, options: { readonly overwrite?: boolean; readonly split?: readonly number[] } = {}) =>
    createDataset(opened.db, thingsService, { spine: { sql: manyThings }, out, ...options })

  it('writes the bytes that a file has, verifies and deletes them', async () => {
    const url = 's3://rows/sets/things.parquet'
    const manifest = await build(url)
    expect(manifest.path).toBe(url)
    const beside = await build(`${pathToFileURL(folder).href}/things.parquet`)
    expect(beside.path).toBe(join(folder, 'things.parquet'))
    expect(manifest.file.sha256).toBe(beside.file.sha256)
    expect((await store.head(url))?.bytes).toBe((await readFile(beside.path)).length)
    const verdict = await verifyDataset(opened.db, manifest, () => thingsService, {})
    expect(verdict).toMatchObject({ equal: true, files: [{ path: url, state: 'same' }] })
    await put(url, 'other', true)
    expect(await verifyDataset(opened.db, manifest, () => thingsService, {})).toMatchObject({ equal: false, files: [{ state: 'altered' }] })
    expect(await deleteDatasetFiles({ id: manifest.id, manifest } as Parameters<typeof deleteDatasetFiles>[0])).toEqual([
      url,
      `${url}.manifest.json`,
    ])
    expect(await store.head(url)).toBeNull()
    expect(await verifyDataset(opened.db, manifest, () => thingsService, {})).toMatchObject({ files: [{ state: 'gone' }] })
  })

  it('writes parts that workers share, with the manifest last', async () => {
    const out = 's3://rows/sets/parts'
    const { db } = opened
    const kind = exportsInParts({ db, find: () => Promise.resolve(thingsService) })
    const run = async (options: { readonly overwrite?: boolean; readonly parts: ExportOptions['parts'] }, ran = kind) => {
      const { id } = await beginExport({ jobs: db, worker: 'test' }, thingsService, {
        spine: { sql: manyThings },
        time: 'moment',
        out,
        ...options,
      })
      return await awaitJob(db, id, { signal, work: { kinds: [ran], worker: 'test' } })
    }
    const names = async (): Promise<string[]> => {
      const found: string[] = []
      for await (const { url } of store.list(`${out}/`)) found.push(url.slice(out.length + 1))
      return found
    }
    // every part is written twice, as by a worker that was taken for dead
    const twice: typeof kind = { ...kind, run: async (...args) => (await kind.run(...args), await kind.run(...args)) }
    expect(await run({ parts: { count: 3 } }, twice)).toMatchObject({ state: 'done', error: null, result: { path: out } })
    expect(await names()).toEqual(['manifest.json', 'part-00000.parquet', 'part-00001.parquet', 'part-00002.parquet'])
    const manifest = JSON.parse(await textOf(`${out}/manifest.json`)) as DatasetManifest
    expect(manifest).toMatchObject({ path: out, spine: { rows: 20_000 } })
    expect(filesOf(manifest).map(({ path }) => path)).toEqual([0, 1, 2].map((part) => `${out}/part-0000${part}.parquet`))
    expect(await verifyDataset(db, manifest, () => thingsService, {})).toMatchObject({ equal: true })
    await expect(run({ parts: { count: 1 } })).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await run({ parts: { rows: 10_000 }, overwrite: true })).toMatchObject({ state: 'done' })
    expect(await names()).toEqual(['manifest.json', 'part-00000.parquet', 'part-00001.parquet'])
    const robbed: typeof kind = {
      ...kind,
      finish: async (...args) => (await store.remove(`${out}/part-00001.parquet`), (await kind.finish?.(...args)) ?? null),
    }
    const failed = await run({ parts: { count: 2 }, overwrite: true }, robbed)
    expect(failed).toMatchObject({ state: 'failed', error: { code: 'FILE_CHANGED' } })
    await expect.poll(names, { timeout: 60_000 }).toEqual([])
  })

  it('takes a spine from object storage', async () => {
    await put('s3://rows/spine.csv', 'thing,moment\na,2001-03-01T12:00:00Z\n,2001-03-02T12:00:00Z\n')
    const manifest = await createDataset(opened.db, thingsService, {
      spine: { file: 's3://rows/spine.csv' },
      time: 'moment',
      out: 's3://rows/sets/s.csv',
    })
    expect(manifest.spine).toMatchObject({ from: { file: 's3://rows/spine.csv' }, rows: 2, nullKeyRows: 1 })
    expect((await textOf('s3://rows/sets/s.csv')).split('\n')).toHaveLength(4)
    expect(await verifyDataset(opened.db, manifest, () => thingsService, {})).toMatchObject({ equal: true })
  })

  it('replaces a set only when asked, with the manifest last', async () => {
    const url = 's3://rows/sets/split.csv'
    const split = [Date.parse('2001-03-01T13:00:00Z') * 1000]
    const first = await build(url, { split })
    await expect(build(url, { split })).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    expect(await textOf(`${url}.manifest.json`)).toContain(first.id)
    const second = await build(url, { split, overwrite: true })
    expect(await textOf(`${url}.manifest.json`)).toContain(second.id)
    for (const { path, bytes } of [second.file, ...second.otherFiles]) expect(await store.head(path)).toMatchObject({ bytes })
  })

  it('leaves no file of a set that fails at its second name', async () => {
    const url = 's3://rows/sets/taken.csv'
    const split = [Date.parse('2001-03-01T13:00:00Z') * 1000]
    const write = store.write
    const spy = vi.spyOn(store, 'write').mockImplementation(async (name, options) => {
      const writer = await write(name, options)
      if (!name.endsWith('.train.csv')) return writer
      const other = await write(name, options)
      await other.write(Buffer.from('of another writer'))
      await other.seal()
      return { ...writer, commit: async () => (await other.commit(), await writer.commit()) }
    })
    await expect(build(url, { split })).rejects.toMatchObject({ code: 'FILE_EXISTS' })
    spy.mockRestore()
    expect(await textOf('s3://rows/sets/taken.train.csv')).toBe('of another writer')
    expect(await store.head('s3://rows/sets/taken.test.csv')).toBeNull()
    expect(await store.head(`${url}.manifest.json`)).toBeNull()
    const [{ n } = { n: '' }] = await opened.db.query<{ n: string }>(`SELECT count(*) AS n FROM lockstep.datasets WHERE path = '${url}'`)
    expect(n).toBe('0')
  })
})
