import { pipeline, Transform } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { readStream } from './file-bytes.ts'
import type { FileBatch, TabularFile } from './tabular-file.ts'

const batchRows = 10_000

/** CSV with a header, comma-separated, RFC 4180 quoting, UTF-8. An empty field is null; `""` is empty text. */
export async function openCsv(path: string): Promise<TabularFile> {
  const header = await readHeader(path)
  const columns = header.map((name) => ({ name, type: { kind: 'string' }, described: 'CSV text' }) as const)
  return { path, format: 'csv', columns, rows: null, batches }

  async function* batches(names: readonly string[]): AsyncGenerator<FileBatch> {
    const places = names.map((name) => {
      const place = header.indexOf(name)
      if (place < 0)
        throw new LockstepError('COLUMNS_MISMATCH', `The file "${path}" has no column "${name}".`, { details: { path, missing: [name] } })
      return place
    })
    let firstRow = 1
    let data: unknown[][] = places.map(() => [])
    let rows = 0
    for await (const record of records(path, header.length)) {
      for (const [i, place] of places.entries()) data[i]?.push(record[place] ?? null)
      rows++
      if (rows === batchRows) {
        yield { firstRow, rows, columns: data }
        firstRow += rows
        rows = 0
        data = places.map(() => [])
      }
    }
    if (rows > 0) yield { firstRow, rows, columns: data }
  }
}

async function readHeader(path: string): Promise<string[]> {
  for await (const record of records(path, null)) {
    const names = record.map((name) => name ?? '')
    const repeated = names.find((name, i) => names.indexOf(name) !== i)
    if (repeated !== undefined) throw unreadable(path, `its header names the column "${repeated}" twice`)
    if (names.includes('')) throw unreadable(path, `its header has no name for column ${names.indexOf('') + 1}`)
    return names
  }
  throw unreadable(path, 'it has no header')
}

/**
 * Reads the records after a header with the given number of columns; null: reads the header first. An empty line is a
 * record only in a file of one column, where it is a null.
 */
async function* records(path: string, columns: number | null): AsyncGenerator<(string | null)[]> {
  const parser = parse({
    bom: true,
    from: columns === null ? 1 : 2,
    skip_empty_lines: columns !== 1,
    cast: (value, context) => (value === '' && !context.quoting ? null : value),
  })
  const stream = pipeline(readStream(path), utf8Check(), parser, () => {})
  try {
    for await (const record of stream as AsyncIterable<(string | null)[]>) yield record
  } catch (cause) {
    if (cause instanceof CsvError) {
      // the parser counts the header as a record
      const row = Number(cause['records'] ?? 0)
      throw new LockstepError('INVALID_ROW', `Row ${row} of "${path}" is malformed: ${cause.message}. Correct the row.`, {
        cause,
        details: { path, row },
      })
    }
    throw cause instanceof LockstepError ? cause : unreadable(path, messageOf(cause), cause)
  } finally {
    stream.destroy()
  }
}

/** Passes UTF-8 through, and fails on other bytes, which would otherwise become replacement characters. */
function utf8Check(): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const isText = (chunk?: Buffer): boolean => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined })
      return true
    } catch {
      return false
    }
  }
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (isText(chunk)) done(null, chunk)
      else done(new Error('it is not UTF-8 text'))
    },
    flush(done) {
      done(isText() ? null : new Error('it is not UTF-8 text: it ends inside a character'))
    },
  })
}

function unreadable(path: string, why: string, cause?: unknown): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The CSV file "${path}" could not be read: ${why}.`, { cause, details: { path } })
}
