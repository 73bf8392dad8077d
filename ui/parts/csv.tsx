import { Button } from '@mantine/core'
import type { ReactElement } from 'react'

type Cell = string | number | null | undefined

interface CsvButtonProps {
  /** Of the file, without its ending. */
  readonly name: string
  /** The header first. */
  readonly rows: () => readonly (readonly Cell[])[]
}

/** A button that saves figures as a file of CSV. */
export function CsvButton({ name, rows }: CsvButtonProps): ReactElement {
  const save = (): void =>
    download(
      `${name}.csv`,
      rows()
        .map((row) => row.map(cellOf).join(','))
        .join('\n'),
    )
  return (
    <Button variant="default" size="compact-sm" onClick={save}>
      Download CSV
    </Button>
  )
}

/** A cell of CSV. Text that a spreadsheet would take for a formula is quoted as text. */
function cellOf(value: Cell): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'string' && /^[=+\-@]/.test(value) ? `'${value}` : String(value)
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv' }))
  const link = document.createElement('a')
  link.href = address
  link.download = name
  link.click()
  URL.revokeObjectURL(address)
}
