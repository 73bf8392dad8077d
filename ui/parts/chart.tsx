import { ActionIcon, Button, Table, Tooltip } from '@mantine/core'
import { type KeyboardEvent, type ReactElement, Suspense, lazy, useMemo, useState } from 'react'
import type { Chart as ChartData, Series } from '../../serving/dashboard/contract/answer.ts'
import { announce } from '../shell/announcer.tsx'
import { Icon } from '../shell/icon.tsx'
import { type ChartColumns, type ChartKind, columnsOf, dashes, measuredPlaces } from './chart-columns.ts'
import { CsvButton } from './csv.tsx'
import { formatMoment, formatNumber, keepUnits } from './format.ts'

const Plot = lazy(() => import('./plot.tsx'))

interface ChartProps {
  readonly chart: ChartData
  readonly label: string
  readonly kind?: ChartKind
  readonly height?: number
  /** What the horizontal axis says, where it is no time: then a point's `t` is a number. */
  readonly across?: string
  /** What the points are called, by their `t`: bins. */
  readonly names?: readonly string[]
  /** The ends of the horizontal axis, where they are not those of the points. */
  readonly ends?: readonly [number, number]
  /** A horizontal line to compare with. */
  readonly bound?: { readonly value: number; readonly name: string }
}

const rowsOfTable = 25

/**
 * A chart with its finding in words. Arrow keys move a cursor, whose values are announced; a button shows the same as a
 * table, with CSV.
 */
export function Chart({ chart, label, kind = 'line', height = 190, across, names, ends, bound }: ChartProps): ReactElement {
  const [asTable, setAsTable] = useState(false)
  const [cursor, setCursor] = useState<number | null>(null)
  const { series, finding, marks } = chart
  const markAt = useMemo(() => new Map(marks?.points.map(({ t, text }) => [t, text])), [marks])
  const columns = useMemo(() => columnsOf(series), [series])
  const measured = useMemo(() => measuredPlaces(columns), [columns])
  const count = measured.length === 0 ? 0 : columns.t.length
  // no line goes through one point; its interval can be drawn
  const isAlone = measured.length === 1 && kind !== 'bar' && across === undefined && columns.low.every((low) => low === undefined)
  const position = (index: number): string => {
    const t = columns.t[index]
    if (t !== undefined && names !== undefined) return names[t] ?? ''
    return t === undefined ? '' : across === undefined ? formatMoment(t) : `${across} ${formatNumber(t)}`
  }
  const markOf = (index: number): string | undefined => markAt.get(columns.t[index] ?? Number.NaN)
  const sayValues = (index: number): string => {
    const values = series.map(
      ({ label: name, unit }, at) => `${name} ${formatNumber(columns.values[at]?.[index], unit)}${besideValue(columns, at, index, unit)}`,
    )
    return `${position(index)}: ${values.join(', ')}`
  }
  const say = (index: number): string => [sayValues(index), markOf(index) ?? []].flat().join('. ')
  const move = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -count, End: count }
    const step = steps[event.key]
    if (event.key === 'Escape') setCursor(null)
    if (step === undefined || count === 0) return
    event.preventDefault()
    const next = Math.max(0, Math.min(count - 1, (cursor ?? (step > 0 ? -1 : count)) + step))
    setCursor(next)
    announce(say(next))
  }
  const at = cursor !== null && cursor < count ? cursor : null
  return (
    <figure className="chart" aria-label={`${label}: ${finding}`}>
      <figcaption>
        <span className="chart-finding">{keepUnits(finding)}</span>
        {count > 0 && (
          <span className="chart-tools">
            <Tooltip label={asTable ? 'As a chart' : 'As a table'} openDelay={400}>
              <ActionIcon
                variant="subtle"
                size={26}
                aria-pressed={asTable}
                aria-label={`${label} as a table`}
                onClick={() => setAsTable(!asTable)}
              >
                <Icon name="table" size={15} />
              </ActionIcon>
            </Tooltip>
          </span>
        )}
      </figcaption>
      {count === 0 ? (
        <p className="chart-none dim">Nothing was measured in this time.</p>
      ) : asTable ? (
        <ChartTable
          label={label}
          series={series}
          columns={columns}
          position={position}
          across={across}
          names={names}
          marks={marks === undefined ? undefined : { label: marks.label, of: markOf }}
        />
      ) : isAlone ? (
        <p className="chart-none dim">
          {keepUnits(sayValues(columns.t.indexOf(measured[0] ?? 0)))}. The chart begins with the second point.
        </p>
      ) : (
        <>
          <ul className="chart-legend">
            {series.map(({ label: name, unit, grey }, index) => (
              <li key={name}>
                <Swatch index={index} isGrey={grey} />
                {name} <b>{at === null ? '' : formatNumber(columns.values[index]?.[at], unit)}</b>
              </li>
            ))}
            {bound !== undefined && (
              <li>
                <Swatch index={-1} />
                {bound.name} <b>{formatNumber(bound.value, series[0]?.unit)}</b>
              </li>
            )}
            {marks !== undefined && (
              <li>
                <svg width="12" height="10" aria-hidden="true" focusable="false">
                  <path d="M1 1h10l-5 8z" fill="var(--warn)" />
                </svg>
                {marks.label}
              </li>
            )}
            {at !== null && (
              <li className="dim">
                {position(at)}
                {markOf(at) !== undefined && `: ${markOf(at)}`}
              </li>
            )}
          </ul>
          <div
            className="chart-canvas"
            role="application"
            aria-label={`${label}. Arrow keys move along it.`}
            tabIndex={0}
            onKeyDown={move}
            style={{ height }}
          >
            <Suspense fallback={null}>
              <Plot
                series={series}
                columns={columns}
                kind={kind}
                height={height}
                isTime={across === undefined}
                names={names}
                boundValue={bound?.value}
                ends={ends}
                marks={marks?.points}
                cursor={at}
                onCursor={setCursor}
              />
            </Suspense>
          </div>
        </>
      )}
    </figure>
  )
}

function Swatch({ index, isGrey }: { readonly index: number; readonly isGrey?: boolean | undefined }): ReactElement {
  return (
    <svg width="22" height="8" aria-hidden="true" focusable="false">
      <line
        x1="0"
        x2="22"
        y1="4"
        y2="4"
        stroke={isGrey === true ? 'var(--ink-3)' : index < 0 ? 'var(--mark)' : `var(--series-${(index % 6) + 1})`}
        strokeWidth="2.5"
        strokeDasharray={index < 0 ? '2 2' : (dashes[index % 6] ?? []).join(' ')}
      />
    </svg>
  )
}

interface ChartTableProps {
  readonly label: string
  readonly series: readonly Series[]
  readonly columns: ChartColumns
  readonly position: (index: number) => string
  readonly across: string | undefined
  readonly names: readonly string[] | undefined
  readonly marks: { readonly label: string; readonly of: (index: number) => string | undefined } | undefined
}

function ChartTable({ label, series, columns, position, across, names, marks }: ChartTableProps): ReactElement {
  const [page, setPage] = useState(0)
  const pages = Math.ceil(columns.t.length / rowsOfTable)
  const first = page * rowsOfTable
  const indexes = columns.t.map((_, index) => index).slice(first, first + rowsOfTable)
  const csv = () => {
    const header = [
      across ?? 'time',
      ...series.flatMap(({ label, unit }, at) => {
        const name = unit === 'odds' ? `${label}, to 1` : label
        return [
          name,
          ...(columns.low[at] === undefined ? [] : [`${name} low`, `${name} high`]),
          ...(columns.n[at] === undefined ? [] : [`${name} n`]),
        ]
      }),
      ...(marks === undefined ? [] : [marks.label]),
    ]
    const rows = columns.t.map((t, index) => [
      across === undefined ? new Date(t).toISOString() : (names?.[t] ?? t),
      ...series.flatMap(({ unit }, at) => [
        plainValue(columns.values[at]?.[index], unit),
        ...(columns.low[at] === undefined ? [] : [columns.low[at]?.[index], columns.high[at]?.[index]].map((end) => plainValue(end, unit))),
        ...(columns.n[at] === undefined ? [] : [columns.n[at]?.[index]]),
      ]),
      ...(marks === undefined ? [] : [marks.of(index)]),
    ])
    return [header, ...rows]
  }
  return (
    <>
      <Table.ScrollContainer minWidth={0} tabIndex={0} role="region" aria-label={`${label}, table`}>
        <Table>
          <Table.Caption className="hidden-text">{label}</Table.Caption>
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{across ?? 'Time (UTC)'}</Table.Th>
              {series.map(({ label: name }) => (
                <Table.Th key={name} scope="col" className="numeric">
                  {name}
                </Table.Th>
              ))}
              {marks !== undefined && <Table.Th scope="col">{marks.label}</Table.Th>}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {indexes.map((index) => (
              <Table.Tr key={index}>
                <Table.Th scope="row">{position(index)}</Table.Th>
                {series.map(({ label: name, unit }, at) => (
                  <Table.Td key={name} className="numeric">
                    {formatNumber(columns.values[at]?.[index], unit)}
                    <span className="dim">{besideValue(columns, at, index, unit)}</span>
                  </Table.Td>
                ))}
                {marks !== undefined && <Table.Td>{marks.of(index) ?? '–'}</Table.Td>}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <div className="row space">
        <CsvButton name={label} rows={csv} />
        {pages > 1 && (
          <>
            <Button variant="default" size="compact-sm" disabled={page === 0} onClick={() => setPage(page - 1)}>
              Earlier rows
            </Button>
            <span className="dim">
              {page + 1} of {pages}
            </span>
            <Button variant="default" size="compact-sm" disabled={page === pages - 1} onClick={() => setPage(page + 1)}>
              Later rows
            </Button>
          </>
        )}
      </div>
    </>
  )
}

/** The interval of a value, and of how many it is: ` (0.2 to 0.3, n 120)`. */
function besideValue({ low, high, n }: ChartColumns, at: number, index: number, unit: Series['unit']): string {
  const [from, to, rows] = [low[at]?.[index] ?? null, high[at]?.[index] ?? null, n[at]?.[index] ?? null]
  const interval = from === null ? [] : [`${formatNumber(from, unit)} to ${formatNumber(to, unit)}`]
  const parts = [...interval, ...(rows === null ? [] : [`n\u00a0${formatNumber(rows, 'count')}`])]
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}

/** The number that a value stands for. */
function plainValue(value: number | null | undefined, unit: Series['unit'] | undefined): number | null | undefined {
  return unit === 'odds' && typeof value === 'number' ? 10 ** value : value
}
