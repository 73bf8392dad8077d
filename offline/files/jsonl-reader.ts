import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { ColumnType } from '../../kernel/values/value-type.ts'
import { show, typeName } from '../../kernel/values/value-type.ts'
import { readStream } from './file-bytes.ts'
import type { FileBatch, FileColumn, TabularFile } from './tabular-file.ts'

const batchRows = 10_000

/** One JSON object a line, UTF-8. Whole numbers are exact at any size; a missing field is null. */
export async function openJsonLines(path: string): Promise<TabularFile> {
  const columns = await inferColumns(path)
  return { path, format: 'jsonl', columns, rows: null, batches }

  async function* batches(names: readonly string[]): AsyncGenerator<FileBatch> {
    const known = new Set([...columns.map(({ name }) => name), ...names])
    let firstRow = 1
    let rows = 0
    let data: unknown[][] = names.map(() => [])
    for await (const row of objects(path)) {
      for (const name of Object.keys(row)) {
        if (!known.has(name)) {
          throw new LockstepError(
            'INVALID_ROW',
            `Row ${firstRow + rows} of "${path}" has the field "${name}", which no earlier row has; add it to the first row too (null where there is no value).`,
            { details: { path, row: firstRow + rows, column: name } },
          )
        }
      }
      for (const [i, name] of names.entries()) data[i]?.push(Object.hasOwn(row, name) ? row[name] : null)
      rows++
      if (rows === batchRows) {
        yield { firstRow, rows, columns: data }
        firstRow += rows
        rows = 0
        data = names.map(() => [])
      }
    }
    if (rows > 0) yield { firstRow, rows, columns: data }
  }
}

async function inferColumns(path: string): Promise<FileColumn[]> {
  const seen = new Map<string, unknown[]>()
  let rows = 0
  for await (const row of objects(path)) {
    for (const [name, value] of Object.entries(row)) {
      const values = seen.get(name) ?? []
      if (values.length === 0) seen.set(name, values)
      if (value !== null) values.push(value)
    }
    if (++rows === batchRows) break
  }
  return [...seen].map(([name, values]) => ({ name, ...described(inferType(values)) }))
}

function described(type: ColumnType | null): Pick<FileColumn, 'type' | 'described'> {
  return { type, described: type === null ? 'JSON of several types' : `JSON ${typeName(type)}` }
}

function inferType(values: readonly unknown[]): ColumnType | null {
  const first = values[0]
  if (values.every((v) => typeof v === 'string')) return { kind: 'string' }
  if (values.every((v) => typeof v === 'boolean')) return { kind: 'bool' }
  if (values.every((v) => typeof v === 'bigint' || Number.isSafeInteger(v))) return { kind: 'int64' }
  if (values.every((v) => typeof v === 'bigint' || typeof v === 'number')) return { kind: 'float64' }
  if (Array.isArray(first) && values.every((v) => Array.isArray(v) && v.length === first.length && v.every((x) => typeof x === 'number'))) {
    return { kind: 'vector', length: first.length }
  }
  return null
}

async function* objects(path: string): AsyncGenerator<Record<string, unknown>> {
  let number = 0
  for await (const line of lines(path)) {
    number++
    if (line.trim() === '') continue
    const value = parseLine(path, number, line)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw malformed(path, number, `it is ${show(value)}, not an object`)
    }
    yield value as Record<string, unknown>
  }
}

function parseLine(path: string, number: number, line: string): unknown {
  try {
    // a double may change a number of 16 digits or more, or with an exponent
    return /\d{16}|\d[\d.]{16}|\d[eE]\+?\d/.test(line) ? JSON.parse(line, exactNumber) : JSON.parse(line)
  } catch (cause) {
    throw malformed(path, number, messageOf(cause), cause)
  }
}

function exactNumber(this: unknown, _name: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value
  if (!Number.isFinite(value)) throw new RangeError(`the number ${context.source} is outside the range of a float64`)
  return Number.isSafeInteger(value) ? value : (wholeNumber(context.source) ?? value)
}

/** The exact value of a JSON number that is whole, in any notation: `9007199254740993.0`, `9.007199254740993e15`. */
function wholeNumber(text: string): bigint | null {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]\+?(-?\d+))?$/.exec(text) ?? []
  const zeros = Number(exponent) - fraction.length
  const digits = `${whole}${fraction}`
  if (whole === '') return null
  if (zeros >= 0) return BigInt(`${sign}${digits}${'0'.repeat(zeros)}`)
  return /^0+$/.test(digits.slice(zeros)) ? BigInt(`${sign}${digits.slice(0, zeros) || '0'}`) : null
}

async function* lines(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  try {
    for await (const chunk of readStream(path)) {
      const parts = (rest + decoder.decode(chunk as Buffer, { stream: true })).split('\n')
      rest = parts.pop() ?? ''
      yield* parts
    }
    rest += decoder.decode()
  } catch (cause) {
    if (cause instanceof LockstepError) throw cause
    throw new LockstepError('FILE_UNREADABLE', `The file "${path}" could not be read: ${messageOf(cause)}.`, { cause, details: { path } })
  }
  if (rest !== '') yield rest
}

function malformed(path: string, line: number, why: string, cause?: unknown): LockstepError {
  return new LockstepError('INVALID_ROW', `Line ${line} of "${path}" is not a JSON object: ${why}. Correct the line.`, {
    cause,
    details: { path, row: line },
  })
}
