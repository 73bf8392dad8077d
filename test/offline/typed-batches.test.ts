import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { typedBatches } from '../../offline/files/typed-batches.ts'
import { readRows } from './read-values.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-typed-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const columns: readonly Column[] = [
  { name: 'yes', type: { kind: 'bool' } },
  { name: 'small', type: { kind: 'int32' } },
  { name: 'large', type: { kind: 'int64' } },
  { name: 'single', type: { kind: 'float32' } },
  { name: 'double', type: { kind: 'float64' } },
  { name: 'text', type: { kind: 'string' } },
  { name: 'at', type: { kind: 'timestamp' } },
  { name: 'both', type: { kind: 'vector', length: 2 } },
]

const rows: readonly (readonly (Value | null)[])[] = [
  [true, -7, 2n ** 62n + 1n, Math.fround(0.1), 0.1, 'a "b", c', 1_772_409_600_123_456, Float32Array.of(0.5, Math.fround(0.1))],
  [false, 2 ** 31 - 1, -5n, Math.fround(1e-40), 1e300, '', 0, Float32Array.of(1, 2)],
  [null, null, null, null, null, null, null, null],
  [true, 0, 0n, Math.fround(123.456), -2.5, 'true', -1, Float32Array.of(-1, 0)],
]

async function write(name: string): Promise<string> {
  const path = join(folder, name)
  const writer = await createDatasetWriter(path, columns, { format: name.split('.').at(-1) as 'csv', overwrite: false })
  await writer.write(columns.map((_, c) => rows.map((row) => row[c] ?? null)))
  await writer.close()
  return path
}

async function typed(path: string, asked: readonly Column[], maxRows = 2): Promise<{ sizes: number[]; rows: (Value | null)[][] }> {
  const sizes: number[] = []
  const found: (Value | null)[][] = []
  for await (const batch of typedBatches(await openTabularFile(path), asked, maxRows)) {
    sizes.push(batch.rows)
    for (let row = 0; row < batch.rows; row++) found.push(batch.columns.map((column) => column[row] ?? null))
  }
  return { sizes, rows: found }
}

describe('typedBatches', () => {
  it.each(['rows.parquet', 'rows.csv', 'rows.jsonl'])('reads %s as the database reads it', async (name) => {
    const path = await write(name)
    const found = await typed(path, columns)
    expect(found).toEqual({ sizes: [2, 2], rows })
    expect(found.rows).toEqual(await readRows(path, columns))
  })

  it('reads a column as several types', async () => {
    await writeFile(join(folder, 'numbers.csv'), 'n\n1\n0\n')
    const asked: Column[] = [
      { name: 'n', type: { kind: 'string' } },
      { name: 'n', type: { kind: 'bool' } },
      { name: 'n', type: { kind: 'int64' } },
    ]
    expect((await typed(join(folder, 'numbers.csv'), asked)).rows).toEqual([
      ['1', true, 1n],
      ['0', false, 0n],
    ])
  })

  it('names the row and the value that does not fit, and columns that are not there', async () => {
    await writeFile(join(folder, 'bad.csv'), 'n,v\n1,[1]\n2,[1]\nthree,[1]\n')
    const path = join(folder, 'bad.csv')
    await expect(typed(path, [{ name: 'n', type: { kind: 'int32' } }])).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: `Row 3 of "${path}": column "n" is "three", which is not a whole number; correct the row.`,
    })
    await expect(typed(path, [{ name: 'v', type: { kind: 'vector', length: 2 } }])).rejects.toThrow(
      'column "v" has 1 elements, and is no vector(2); correct the row.',
    )
    await expect(typed(path, [{ name: 'm', type: { kind: 'int32' } }])).rejects.toThrow(
      `The file "${path}" has no column "m"; it has n, v.`,
    )
  })
})
