import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'

/** The bins of one column, as a stretch of the bins of all columns. */
export interface BinnedColumn {
  readonly column: string
  /** Equal bins have equal ids. */
  readonly binsId: string
  /** 0: the column has no bins, because there is no baseline. */
  readonly bins: number
}

/** The bins of several columns one after the other, in the order of their names. */
export interface BinLayout {
  readonly columns: readonly (BinnedColumn & { /** Index of its first bin. */ readonly from: number })[]
  readonly bins: number
}

export const noBins: BinLayout = { columns: [], bins: 0 }

export function layoutOf(columns: readonly BinnedColumn[]): BinLayout {
  let bins = 0
  const placed = columns.toSorted(compareColumns).map((column) => {
    const from = bins
    bins += column.bins
    return { column: column.column, binsId: column.binsId, bins: column.bins, from }
  })
  return { columns: placed, bins }
}

/** All columns of both. */
export function mergeLayouts(a: BinLayout, b: BinLayout): BinLayout {
  if (isSame(a, b)) return a
  return layoutOf([...a.columns, ...b.columns.filter((column) => findColumn(a, column) === undefined)])
}

/** For each bin of `from`, its place in `into`, which has all columns of `from`. null: the layouts are the same. */
export function placesIn(into: BinLayout, from: BinLayout): Int32Array | null {
  if (isSame(into, from)) return null
  const places = new Int32Array(from.bins)
  for (const column of from.columns) {
    const to = findColumn(into, column)?.from ?? 0
    for (let bin = 0; bin < column.bins; bin++) places[column.from + bin] = to + bin
  }
  return places
}

export function encodeLayout(layout: BinLayout, writer: ByteWriter): void {
  writer.uint(layout.columns.length)
  for (const { column, binsId, bins } of layout.columns) {
    writer.string(column)
    writer.string(binsId)
    writer.uint(bins)
  }
}

export function decodeLayout(reader: ByteReader): BinLayout {
  const columns: BinnedColumn[] = []
  for (let left = reader.uint(); left > 0; left--) columns.push({ column: reader.string(), binsId: reader.string(), bins: reader.uint() })
  return layoutOf(columns)
}

function findColumn({ columns }: BinLayout, { column, binsId }: BinnedColumn) {
  return columns.find((each) => each.column === column && each.binsId === binsId)
}

function isSame(a: BinLayout, b: BinLayout): boolean {
  return (
    a === b ||
    (a.columns.length === b.columns.length &&
      a.columns.every((column, c) => compareColumns(column, b.columns[c] ?? column) === 0 && b.columns[c] !== undefined))
  )
}

function compareColumns(a: BinnedColumn, b: BinnedColumn): number {
  if (a.column !== b.column) return a.column < b.column ? -1 : 1
  if (a.binsId !== b.binsId) return a.binsId < b.binsId ? -1 : 1
  return 0
}
