import { Button, Table, UnstyledButton } from '@mantine/core'
import { type ReactElement, type ReactNode, useMemo, useState } from 'react'
import { type ActScope, useOffersActs } from '../api/session.ts'
import { keepUnits } from './format.ts'

export interface Column<Row> {
  readonly name: string
  readonly cell: (row: Row) => ReactNode
  /** What to sort by; without it, the column does not sort. */
  readonly by?: (row: Row) => string | number | null
  readonly numeric?: boolean
  /** Takes what room is left. */
  readonly wide?: boolean
  /** The scope of the acts that it offers: it is left out of pages that do not offer them. */
  readonly acts?: ActScope
}

interface DataTableProps<Row> {
  readonly label: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  readonly rowKey: (row: Row) => string
  readonly empty?: ReactNode
  /** How many rows it shows at first. */
  readonly pageSize?: number
}

/** With more columns than these, they stand closer to each other. */
const roomyColumns = 5

/**
 * A table with a heading for each column, sorted by a click. It shows 50 rows, and more on demand. On a narrow screen,
 * each row is a card, so that no column is out of sight.
 */
export function DataTable<Row>({ label, rows, columns: all, rowKey, empty, pageSize = 50 }: DataTableProps<Row>): ReactElement {
  const offers = { 'ui:operate': useOffersActs('ui:operate'), 'ui:admin': useOffersActs('ui:admin') }
  const columns = all.filter(({ acts }) => acts === undefined || offers[acts])
  const [order, setOrder] = useState<{ readonly column: number; readonly down: boolean } | null>(null)
  const [shown, setShown] = useState(pageSize)
  const sorted = useMemo(() => {
    const by = order === null ? undefined : columns[order.column]?.by
    if (by === undefined || order === null) return rows
    return rows.toSorted((a, b) => compare(by(a), by(b)) * (order.down ? -1 : 1))
    // each render creates new columns
  }, [rows, order])
  if (rows.length === 0 && empty !== undefined) return <>{empty}</>
  return (
    <>
      <Table.ScrollContainer minWidth={0} tabIndex={0} role="region" aria-label={label}>
        <Table className={columns.length > roomyColumns ? 'cards dense' : 'cards'}>
          <Table.Caption className="hidden-text">{label}</Table.Caption>
          <Table.Thead>
            <Table.Tr>
              {columns.map((column, index) => (
                <Table.Th
                  key={column.name}
                  scope="col"
                  className={classOf(column)}
                  aria-sort={order?.column === index ? (order.down ? 'descending' : 'ascending') : undefined}
                >
                  {column.by === undefined ? (
                    column.name
                  ) : (
                    <UnstyledButton onClick={() => setOrder({ column: index, down: order?.column === index && !order.down })}>
                      {column.name}
                      <span aria-hidden="true">{order?.column === index ? (order.down ? ' ↓' : ' ↑') : ''}</span>
                    </UnstyledButton>
                  )}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {sorted.slice(0, shown).map((row) => (
              <Table.Tr key={rowKey(row)}>
                {columns.map((column) => (
                  <Table.Td key={column.name} className={classOf(column)} data-name={column.name}>
                    {keepUnits(column.cell(row))}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {rows.length > shown && (
        <Button variant="default" size="compact-sm" className="more" onClick={() => setShown(shown + pageSize)}>
          {rows.length - shown <= pageSize ? `Show ${rows.length - shown} more` : `Show ${pageSize} of ${rows.length - shown} more`}
        </Button>
      )}
    </>
  )
}

function classOf(column: { readonly numeric?: boolean; readonly wide?: boolean }): string | undefined {
  return column.numeric === true ? 'numeric' : column.wide === true ? 'wide' : undefined
}

function compare(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  return a < b ? -1 : 1
}
