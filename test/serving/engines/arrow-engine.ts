import { encodeKey } from '../../../kernel/values/entity-key.ts'
import type { Column, Value, ValueType } from '../../../kernel/values/value-type.ts'
import type { PartitionLayout, PassLayout } from '../../../offline/partition/partition-layout.ts'
import { columnsReader } from '../../../runtime/arrow/arrow-columns.ts'
import { arrowBatch, arrowEnd, arrowHead } from '../../../runtime/arrow/arrow-stream.ts'
import { readArrowStream } from '../../../runtime/arrow/read-arrow-stream.ts'

/** A row by the names of its columns; times are epoch microseconds, and `_row` is a number. */
export type EngineRow = Readonly<Record<string, Value | null>>

/** Runs one step of a plan: Arrow in, Arrow out. `pass`: null is the last step. */
export type RunStep = (pass: number | null, input: Uint8Array) => Promise<Uint8Array>

/** The Arrow stream of the ordered rows of a pass. */
export function passRows(
  { pass, streams, input }: PassLayout,
  sources: Readonly<Record<string, readonly EngineRow[]>>,
  spine: readonly EngineRow[],
  time: string,
): Uint8Array {
  const rows: EngineRow[] = []
  const keysOf = (row: EngineRow, columns: readonly string[]): EngineRow =>
    Object.fromEntries(columns.map((column, i) => [`k${i}`, row[column] ?? null]))
  for (const [n, { source, key, columns }] of streams.entries()) {
    const names = key.map((column) => column.name)
    for (const row of sources[source.name] ?? []) {
      const [e, known] = [row[source.eventTime] as number, source.known === null ? null : (row[source.known] ?? null)]
      const values = Object.fromEntries(columns.map(({ name }, i) => [`s${n}_${i}`, row[name] ?? null]))
      rows.push({
        ...keysOf(row, names),
        t: Math.max(e, (known as number | null) ?? e),
        tag: 0,
        n,
        o: null,
        e,
        known,
        row: row['_row'] ?? null,
        ...values,
      })
    }
  }
  for (const [n, { columns }] of pass.mappings.entries())
    for (const [o, row] of spine.entries())
      rows.push({ ...keysOf(row, columns), t: row[time] as number, tag: 1, n, o, e: null, known: null, row: null })
  const keyOf = (row: EngineRow): string | null => {
    const parts = pass.key.map((_, i) => row[`k${i}`] ?? null)
    return parts.includes(null) ? null : encodeKey(pass.key, parts)
  }
  const sorted = rows
    .map((row) => ({ row, key: keyOf(row) ?? '' }))
    .sort((a, b) =>
      a.key < b.key ? -1 : a.key > b.key ? 1 : Number(a.row['t']) - Number(b.row['t']) || Number(a.row['tag']) - Number(b.row['tag']),
    )
  return arrowOf(
    input,
    sorted.map(({ row }) => row),
  )
}

/** A stream of several batches. */
export function arrowOf(columns: readonly Column<ValueType>[], rows: readonly EngineRow[]): Uint8Array {
  const fields = columns.map((column) => ({ ...column, nullable: true }))
  const pieces: Uint8Array[] = [arrowHead(fields)]
  for (let from = 0; from < rows.length; from += 100) {
    const some = rows.slice(from, from + 100)
    pieces.push(
      arrowBatch(
        fields,
        columns.map(({ name }) => some.map((row) => row[name] ?? null)),
        some.length,
      ),
    )
  }
  return Buffer.concat([...pieces, arrowEnd])
}

export async function rowsOf(bytes: Uint8Array, columns: readonly Column<ValueType>[]): Promise<EngineRow[]> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(bytes)
  }
  const stream = await readArrowStream(once(), 'of the engine')
  const decode = columnsReader(stream.columns, columns)
  const rows: EngineRow[] = []
  for await (const batch of stream.batches()) {
    const decoded = decode(batch)
    for (let i = 0; i < batch.rows; i++) rows.push(Object.fromEntries(columns.map(({ name }, c) => [name, decoded[c]?.[i] ?? null])))
  }
  return rows
}

/** An engine for a plan: it sorts, asks the kernel, joins the answers by number, and asks for the last step. */
export async function runEngine(
  { passes, finish }: PartitionLayout,
  request: readonly string[],
  sources: Readonly<Record<string, readonly EngineRow[]>>,
  spine: readonly EngineRow[],
  time: string,
  step: RunStep,
): Promise<EngineRow[]> {
  const joined = spine.map((row, o): Record<string, Value | null> => {
    const requested = Object.fromEntries(request.map((name, i) => [`r${i}`, row[name] ?? null]))
    return { o, t: row[time] ?? null, ...requested }
  })
  for (const [number, layout] of passes.entries()) {
    const answers = await rowsOf(await step(number, passRows(layout, sources, spine, time)), layout.output)
    for (const { o, n, ...values } of answers)
      for (const { use } of layout.pass.mappings[n as number]?.asked ?? [])
        for (const [name, value] of Object.entries(values))
          if (name.startsWith(`a${use}_`)) (joined[o as number] as Record<string, Value | null>)[name] = value
  }
  return await rowsOf(await step(null, arrowOf(finish.input, joined)), finish.output)
}
