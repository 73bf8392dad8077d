import { cutText } from '../../kernel/values/cut-text.ts'
import { plainText } from '../../kernel/values/plain-text.ts'

/** The least width of a column that is cut. */
const minCut = 20

/**
 * Rows under a header, in aligned columns; columns of numbers to the right.
 *
 * @param width of the screen: the last column is cut to it; null: nothing is cut
 */
export function table(header: readonly string[], rows: readonly (readonly string[])[], indent = '', width: number | null = null): string {
  const plain = rows.map((row) => row.map(plainText))
  const columns = header.map((title, i) => {
    const cells = plain.map((row) => row[i] ?? '')
    return {
      width: Math.max(title.length, ...cells.map((cell) => cell.length)),
      right: cells.length > 0 && cells.every((cell) => /^-?[\d,.]*( [a-z%]+)?$/i.test(cell)) && cells.some((cell) => /\d/.test(cell)),
    }
  })
  const before = columns.slice(0, -1).reduce((sum, column) => sum + column.width + 2, indent.length)
  const last = width === null ? Number.POSITIVE_INFINITY : Math.max(minCut, width - before)
  const line = (cells: readonly string[]): string =>
    indent +
    columns
      .map(({ width: wide, right }, i) => {
        const cell = i === columns.length - 1 ? cutText(cells[i] ?? '', last) : (cells[i] ?? '')
        return right ? cell.padStart(Math.min(wide, i === columns.length - 1 ? last : wide)) : cell.padEnd(wide)
      })
      .join('  ')
      .trimEnd()
  return [line(header), ...plain.map(line)].join('\n')
}

/** The rows of things, without the columns that are empty in all of them. */
export function tableOf<T>(
  columns: readonly (readonly [title: string, cell: (thing: T) => string])[],
  things: readonly T[],
  width: number | null = null,
): string {
  const shown = columns.filter(([, cell]) => things.some((thing) => cell(thing) !== ''))
  const rows = things.map((thing) => shown.map(([, cell]) => cell(thing)))
  return table(
    shown.map(([title]) => title),
    rows,
    '',
    width,
  )
}
