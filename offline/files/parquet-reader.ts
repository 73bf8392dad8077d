import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { AsyncBuffer, FileMetaData, ParquetParsers, RowGroup, SchemaElement, SchemaTree } from 'hyparquet'
import { parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet'
import { compressors as portableCompressors } from 'hyparquet-compressors'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import type { ByteRange } from '../../runtime/storage/object-store.ts'
import type { ExpectedContent, RangeBuffer } from './file-bytes.ts'
import { openBuffer } from './file-bytes.ts'
import type { FileBatch, FileColumn, OldestRow, TabularFile } from './tabular-file.ts'

/** Row groups up to this size are decoded at once; larger ones in parts of this size. */
const maxBatchRows = 524_288

/** Parquet files begin with "PAR1". */
const magicBytes = 4

const compressors = {
  ...portableCompressors,
  // several times faster than the portable ones. A page may not become longer than its header says
  ZSTD: (input: Uint8Array, bytes: number) => zstdDecompressSync(input, { maxOutputLength: Math.max(1, bytes) }),
  GZIP: (input: Uint8Array, bytes: number) => gunzipSync(input, { maxOutputLength: Math.max(1, bytes) }),
  BROTLI: (input: Uint8Array, bytes: number) => brotliDecompressSync(input, { maxOutputLength: Math.max(1, bytes) }),
}

/** The search for columns of GeoParquet never ends where a damaged footer says that an element has -1 children. */
const withoutGeo = { geoparquet: false } as const

/** @param expected the content that it must have (`FILE_CHANGED`); absent: it is not checked */
export async function openParquet(path: string, expected?: ExpectedContent): Promise<TabularFile> {
  const columns: ParquetColumn[] = []
  const { file, metadata } = await reading(path, async () => {
    const opened = await openBuffer(path, expected)
    const read = await parquetMetadataAsync(opened, { parsers: timeParsers, ...withoutGeo })
    const schema = parquetSchema(read)
    checkRowGroups(read, schema, opened.byteLength - read.metadata_length - 8)
    for (const node of schema.children) columns.push(planColumn(node))
    return { file: opened, metadata: read }
  })
  const plain: FileMetaData = { ...metadata, schema: retyped(metadata.schema, columns) }
  const rows = Number(metadata.num_rows)
  for (const [i, column] of columns.entries()) {
    if (column.list) columns[i] = { ...column, type: await reading(path, () => listType(file, plain, column.name)) }
  }
  return {
    path,
    format: 'parquet',
    rows,
    columns: columns.map(({ name, type, described, empty }) => ({ name, type, described, ...(empty === true ? { empty } : {}) })),
    batches,
    bytesRead: () => file.requested,
  }

  async function* batches(names: readonly string[], oldest?: OldestRow): AsyncGenerator<FileBatch> {
    const wanted = names.map((name) => {
      const column = columns.find((c) => c.name === name)
      if (column === undefined)
        throw new LockstepError('COLUMNS_MISMATCH', `The file "${path}" has no column "${name}".`, { details: { path, missing: [name] } })
      if (column.type === null && !column.list) {
        throw new LockstepError(
          'FILE_UNREADABLE',
          `The column "${name}" of "${path}" is of the type ${column.described}, which cannot be read. Remove it from the file.`,
        )
      }
      return column
    })
    const scan = await reading(path, () => scanOf(file, plain, [...new Set(names)]))
    for (const { rowStart, rowEnd } of scan.ranges) {
      const group = groupFrom(metadata, rowStart)
      if (oldest !== undefined && isOlder(group, oldest)) continue
      await reading(path, () => file.ahead(chunksOf(group, names)))
      for (let from = rowStart; from < rowEnd; from += maxBatchRows) {
        const to = Math.min(rowEnd, from + maxBatchRows)
        const data: ArrayLike<unknown>[] = []
        for (const column of wanted) {
          const values = await reading(path, () => scan.readColumn({ column: column.name, rowStart: from, rowEnd: to }))
          data.push(column.decimalScale === null ? values : Array.from(values, (v: unknown) => decimalText(v, column.decimalScale ?? 0)))
        }
        yield { firstRow: from + 1, rows: to - from, columns: data }
      }
    }
    await reading(path, () => file.requireUnchanged())
  }
}

/**
 * The bytes of a Parquet file that a reader of some columns needs, its footer included.
 *
 * @param columns null: all
 * @throws LockstepError `FILE_UNREADABLE`
 */
export async function parquetRanges(path: string, file: RangeBuffer, columns: readonly string[] | null): Promise<ByteRange[]> {
  const metadata = await reading(path, () => parquetMetadataAsync(file, withoutGeo))
  const chunks = metadata.row_groups.flatMap((group) => {
    const names = columns ?? group.columns.map(({ meta_data: chunk }) => chunk?.path_in_schema[0] ?? '')
    const filters = group.columns.flatMap(({ meta_data: chunk }) => {
      const { bloom_filter_offset: from, bloom_filter_length: length } = chunk ?? {}
      return from === undefined || length === undefined ? [] : [{ from: Number(from), to: Number(from) + length }]
    })
    return [...chunksOf(group, names), ...filters]
  })
  return [{ from: 0, to: magicBytes }, ...chunks, { from: file.byteLength - metadata.metadata_length - 8, to: file.byteLength }]
}

/**
 * Requires in each row group one chunk for each leaf of the schema, in the same order, as the format does. hyparquet
 * would read two chunks of one column and wait for one: a failure of the other would end the process.
 *
 * @param dataEnd where the footer begins
 * @throws Error
 */
function checkRowGroups({ row_groups: groups, num_rows: rows }: FileMetaData, schema: SchemaTree, dataEnd: number): void {
  const leaves = leavesOf(schema)
  let sum = 0
  for (const [i, { columns: chunks, num_rows: count }] of groups.entries()) {
    const wrong = (why: string): Error => new Error(`its row group ${i + 1} ${why}`)
    if (!isSize(count)) throw wrong(`says that it has ${count} rows`)
    sum += Number(count)
    if (chunks.length !== leaves.length) throw wrong(`has ${chunks.length} columns, and the schema has ${leaves.length}`)
    for (const [at, { meta_data: chunk }] of chunks.entries()) {
      const leaf = leaves[at]
      const name = leaf?.path.join('.') ?? ''
      if (chunk === undefined || chunk.path_in_schema.join('.') !== name || chunk.type !== leaf?.element.type)
        throw wrong(`does not have the column "${name}" where the schema has it`)
      const { data_page_offset: from, dictionary_page_offset: dictionary, total_compressed_size: bytes, num_values: values } = chunk
      const start = dictionary || from
      if (!isSize(start) || !isSize(from) || !isSize(bytes) || !isSize(values) || Number(start) + Number(bytes) > dataEnd)
        throw wrong(`has the column "${name}" outside the file`)
    }
  }
  if (sum !== Number(rows)) throw new Error(`its row groups have ${sum} rows, and its footer says ${rows}`)
}

function leavesOf(node: SchemaTree): SchemaTree[] {
  return node.children.length === 0 ? [node] : node.children.flatMap(leavesOf)
}

function isSize(value: bigint | number | undefined): boolean {
  return value !== undefined && value >= 0 && Number.isSafeInteger(Number(value))
}

interface ParquetColumn extends FileColumn {
  readonly list: boolean
  readonly decimalScale: number | null
  /** The annotations that hyparquet uses; null: those in the file. */
  readonly readAs: Annotations | null
}

type Annotations = Pick<SchemaElement, 'converted_type' | 'logical_type'>

function scanOf(file: AsyncBuffer, metadata: FileMetaData, columns: string[]): ReturnType<typeof parquetScan> {
  return parquetScan({ file, metadata, columns, compressors, parsers, utf8: false, useOffsetIndex: false })
}

/** The row group that begins with a row. */
function groupFrom({ row_groups: groups }: FileMetaData, firstRow: number): RowGroup | undefined {
  let start = 0
  return groups.find(({ num_rows: rows }) => {
    const begins = start === firstRow
    start += Number(rows)
    return begins
  })
}

/** Whether all rows of a group have an earlier time, by its statistics. */
function isOlder(group: RowGroup | undefined, { column, micros }: OldestRow): boolean {
  const chunk = group?.columns.find(({ meta_data: data }) => data?.path_in_schema.length === 1 && data.path_in_schema[0] === column)
  const { max_value: max = chunk?.meta_data?.statistics?.max, null_count: nulls } = chunk?.meta_data?.statistics ?? {}
  // a row without a time is reported, so it has to be read
  return typeof max === 'number' && max < micros && (nulls === undefined || Number(nulls) === 0)
}

/** Where the columns of a row group are in the file. */
function chunksOf(group: RowGroup | undefined, names: readonly string[]): ByteRange[] {
  return (group?.columns ?? []).flatMap(({ meta_data: chunk }) => {
    if (chunk === undefined || !names.includes(chunk.path_in_schema[0] ?? '')) return []
    const from = Number(chunk.dictionary_page_offset || chunk.data_page_offset)
    return [{ from, to: from + Number(chunk.total_compressed_size) }]
  })
}

function planColumn({ element, children }: SchemaTree): ParquetColumn {
  const { name, type, converted_type: converted, logical_type: logical } = element
  const base = { name, described: describe(element), list: false, decimalScale: null, readAs: null }
  if (children.length > 0) {
    const leaf = children[0]?.children[0] ?? children[0]
    const floats = leaf?.element.type === 'FLOAT' || leaf?.element.type === 'DOUBLE'
    return { ...base, type: null, list: converted === 'LIST' && floats && leaf.children.length === 0 }
  }
  if (logical?.type === 'NULL') return { ...base, type: { kind: 'string' }, empty: true, readAs: {} }
  if (element.repetition_type === 'REPEATED') return { ...base, type: null, list: type === 'FLOAT' || type === 'DOUBLE' }
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    const scale = element.scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0)
    return { ...base, type: { kind: 'float64' }, decimalScale: scale, readAs: {} }
  }
  return { ...base, ...scalar(element) }
}

function scalar({ type, converted_type: converted, logical_type: logical }: SchemaElement): {
  type: ColumnType | null
  readAs?: Annotations
} {
  if (logical?.type === 'TIMESTAMP' || converted === 'TIMESTAMP_MILLIS' || converted === 'TIMESTAMP_MICROS' || type === 'INT96') {
    return { type: { kind: 'timestamp' } }
  }
  if (logical?.type === 'DATE' || converted === 'DATE') return { type: { kind: 'timestamp' }, readAs: { converted_type: 'DATE' } }
  if (logical?.type === 'TIME' || converted === 'TIME_MILLIS' || converted === 'TIME_MICROS' || converted === 'INTERVAL')
    return { type: null }
  switch (type) {
    case 'BOOLEAN':
      return { type: { kind: 'bool' } }
    case 'INT32':
      return {
        type: {
          kind:
            converted === 'UINT_32' || (logical?.type === 'INTEGER' && logical.bitWidth === 32 && !logical.isSigned) ? 'int64' : 'int32',
        },
      }
    case 'INT64':
      if (converted === 'UINT_64' || (logical?.type === 'INTEGER' && !logical.isSigned)) return { type: { kind: 'int64' } }
      // read through the parser of timestamps, which gives numbers where they are exact, and runs once for each
      // dictionary entry
      return { type: { kind: 'int64' }, readAs: { logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' } } }
    case 'FLOAT':
      return { type: { kind: 'float32' } }
    case 'DOUBLE':
      return { type: { kind: 'float64' } }
    case 'BYTE_ARRAY':
      if (converted === 'BSON' || logical?.type === 'BSON' || logical?.type === 'GEOMETRY' || logical?.type === 'GEOGRAPHY')
        return { type: null }
      return { type: { kind: 'string' }, readAs: { converted_type: 'UTF8', logical_type: { type: 'STRING' } } }
    case 'FIXED_LEN_BYTE_ARRAY':
      if (logical?.type === 'UUID') return { type: { kind: 'string' } }
      return { type: logical?.type === 'FLOAT16' ? { kind: 'float32' } : null }
    default:
      return { type: null }
  }
}

function retyped(schema: readonly SchemaElement[], columns: readonly ParquetColumn[]): SchemaElement[] {
  // a top-level leaf is identified by its position: walk over the subtrees of those that have children
  const result = [...schema]
  let at = 1
  for (const column of columns) {
    const element = schema[at]
    if (element !== undefined && column.readAs !== null) result[at] = { ...withoutAnnotations(element), ...column.readAs }
    at = endOf(schema, at)
  }
  return result
}

function withoutAnnotations(element: SchemaElement): SchemaElement {
  const bare = { ...element }
  delete bare.converted_type
  delete bare.logical_type
  return bare
}

function endOf(schema: readonly SchemaElement[], at: number): number {
  let next = at + 1
  for (let child = 0; child < (schema[at]?.num_children ?? 0); child++) next = endOf(schema, next)
  return next
}

/** The length of a list column's vectors, from the first one in the file; null where there is none. */
async function listType(file: AsyncBuffer, metadata: FileMetaData, column: string): Promise<ColumnType | null> {
  const scan = await scanOf(file, metadata, [column])
  const first = scan.ranges[0]
  if (first === undefined) return null
  const values: ArrayLike<unknown> = await scan.readColumn({
    column,
    rowStart: first.rowStart,
    rowEnd: Math.min(first.rowEnd, first.rowStart + 1000),
  })
  const vector = Array.from(values).find((v) => Array.isArray(v))
  return Array.isArray(vector) ? { kind: 'vector', length: vector.length } : null
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  // the text contains the replacement character itself, or it replaced invalid bytes
  return text.includes('\uFFFD') ? strictUtf8.decode(bytes) : text
}

function exact(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** hyparquet types the results as Date; they pass through unchanged. */
const timeParsers = {
  timestampFromMilliseconds: (millis: bigint) => exact(BigInt(millis) * 1000n),
  timestampFromMicroseconds: (micros: bigint) => exact(BigInt(micros)),
  timestampFromNanoseconds: (nanos: bigint) => exact((nanos - (((nanos % 1000n) + 1000n) % 1000n)) / 1000n),
  dateFromDays: (days: number) => days * 86_400_000_000,
} as unknown as Partial<ParquetParsers>

const parsers: Partial<ParquetParsers> = { ...timeParsers, stringFromBytes: textOf, jsonFromBytes: textOf }

/** Exact decimal text of an unscaled value: 12345 at scale 2 is `123.45`. */
function decimalText(value: unknown, scale: number): string | null {
  if (value === null || value === undefined) return null
  const unscaled = value instanceof Uint8Array ? signed(value) : BigInt(value as number | bigint)
  if (scale === 0) return String(unscaled)
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function signed(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
}

function describe({ type, converted_type: converted, logical_type: logical }: SchemaElement): string {
  const annotation = logical?.type ?? converted
  return [type, annotation].filter((part) => part !== undefined).join(' ') || 'group'
}

async function reading<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The Parquet file "${path}" could not be read: ${messageOf(cause)}. Check that it exists and is complete.`,
      {
        cause,
        details: { path },
      },
    )
  }
}
