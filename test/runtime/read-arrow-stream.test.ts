import {
  Bool,
  Field,
  Float32,
  Int64,
  LargeUtf8,
  List,
  makeBuilder,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  TimestampMillisecond,
  tableToIPC,
  vectorFromArray,
  makeData,
} from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { columnsReader } from '../../runtime/arrow/arrow-columns.ts'
import { arrowBatch, arrowEnd, arrowHead } from '../../runtime/arrow/arrow-stream.ts'
import { readArrowStream } from '../../runtime/arrow/read-arrow-stream.ts'
import { budget } from '../budget.ts'
import { arrowTables } from '../serving/arrow-tables.ts'

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size))
}

async function read(bytes: Uint8Array, wanted: readonly Column<ValueType>[], size = 1000): Promise<(Value | null)[][]> {
  const stream = await readArrowStream(inPieces(bytes, size), 'of the test')
  const decode = columnsReader(stream.columns, wanted)
  const all: (Value | null)[][] = wanted.map(() => [])
  for await (const batch of stream.batches()) for (const [c, column] of decode(batch).entries()) all[c]?.push(...(column ?? []))
  return all
}

describe('an Arrow stream that is read', () => {
  it('has the values that were written, to the bit, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(arrowTables, fc.integer({ min: 1, max: 400 }), async ({ fields, columns, rows }, size) => {
        const bytes = Buffer.concat([arrowHead(fields), arrowBatch(fields, columns, rows), arrowBatch(fields, columns, rows), arrowEnd])
        const seen = await read(bytes, fields, size)
        expect(seen).toEqual(columns.map((column) => [...column, ...column]))
      }),
      { numRuns: budget(300) },
    )
  })

  it('is refused where it ends early, at any byte', async () => {
    const fields = [{ name: 'a', type: { kind: 'string' }, nullable: true }] as const
    const bytes = Buffer.concat([arrowHead(fields), arrowBatch(fields, [['x', null, 'yz']], 3), arrowEnd])
    for (let end = 0; end < bytes.length; end++) {
      await expect(read(bytes.subarray(0, end), fields)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
    }
    expect(await read(bytes, fields)).toEqual([['x', null, 'yz']])
  })

  it('is refused where a length of a message is wrong', async () => {
    const fields = [{ name: 'a', type: { kind: 'int32' }, nullable: true }] as const
    const bytes = Buffer.concat([arrowHead(fields), arrowEnd])
    bytes.writeInt32LE(-8, 4)
    await expect(read(bytes, fields)).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('damaged') as string,
    })
  })

  it('is refused with a type that differs, and names the column', async () => {
    const bytes = Buffer.concat([arrowHead([{ name: 'a', type: { kind: 'int32' }, nullable: true }]), arrowEnd])
    await expect(read(bytes, [{ name: 'a', type: { kind: 'float64' } }])).rejects.toMatchObject({
      code: 'INVALID_TYPE',
      message: expect.stringContaining('"a"') as string,
    })
  })

  it('may come from another writer, with columns that are not wanted, in another order', async () => {
    const rows = 3
    const column = (type: Bool | Int64 | LargeUtf8 | List<Float32>, values: readonly unknown[]) => {
      const builder = makeBuilder({ type, nullValues: [null] })
      for (const value of values) builder.append(value as never)
      return builder.finish().flush()
    }
    const children = {
      skipped: column(new LargeUtf8(), ['p', null, 'q']),
      text: column(new LargeUtf8(), ['ä', null, '']),
      at: column(new Int64(), [2n ** 63n - 1n, null, -5n]),
      vector: column(new List(new Field('item', new Float32())), [[1, -0], null, [Number.NaN, 2]]),
      flag: column(new Bool(), [true, false, null]),
    }
    const schema = new Schema(Object.entries(children).map(([name, data]) => new Field(name, data.type, true)))
    const batch = new RecordBatch(
      schema,
      makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children: Object.values(children) }),
    )
    const bytes = RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true)
    const wanted: Column<ValueType>[] = [
      { name: 'flag', type: { kind: 'bool' } },
      { name: 'vector', type: { kind: 'vector', length: 2 } },
      { name: 'at', type: { kind: 'timestamp' } },
      { name: 'text', type: { kind: 'string' } },
    ]
    expect(await read(bytes, wanted)).toEqual([
      [true, false, null],
      [Float32Array.of(1, -0), null, Float32Array.of(Number.NaN, 2)],
      [Infinity, null, -5],
      ['ä', null, ''],
    ])
    const empty = tableToIPC(new Table({ at: vectorFromArray([], new TimestampMillisecond()) }), 'stream')
    await expect(read(empty, [{ name: 'at', type: { kind: 'timestamp' } }])).rejects.toThrow('milliseconds')
  })
})
