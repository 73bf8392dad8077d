/** Rows under a header, in aligned columns; columns of numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], indent = ''): string {
  const columns = header.map((title, i) => {
    const cells = rows.map((row) => row[i] ?? '')
    return {
      width: Math.max(title.length, ...cells.map((cell) => cell.length)),
      right: cells.length > 0 && cells.every((cell) => /^-?[\d,.]*( [a-z%]+)?$/i.test(cell)) && cells.some((cell) => /\d/.test(cell)),
    }
  })
  const line = (cells: readonly string[]): string =>
    indent +
    columns
      .map(({ width, right }, i) => (right ? (cells[i] ?? '').padStart(width) : (cells[i] ?? '').padEnd(width)))
      .join('  ')
      .trimEnd()
  return [line(header), ...rows.map(line)].join('\n')
}
