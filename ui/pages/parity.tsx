import { useNavigate } from '@tanstack/react-router'
import { type KeyboardEvent, type ReactElement, useLayoutEffect, useRef, useState } from 'react'
import type { ParityData } from '../../serving/dashboard/contract/parity.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { CsvButton } from '../parts/csv.tsx'
import { formatMoment, formatNumber } from '../parts/format.ts'
import { keepMoment } from '../shell/navigation.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { announce } from '../shell/announcer.tsx'

type Cell = ParityData['rows'][number]['cells'][number]

/** Whether served values are those that history gives, by feature and time. */
export default function Parity(): ReactElement {
  const parity = useRead<ParityData>('parity', { everyMs: readEveryMs.day })
  return (
    <Page title="Parity" says="Served values are computed again from history. A cell is the share that differs.">
      <Loaded of={parity}>
        {(data) =>
          data.rows.length === 0 ? (
            <Empty title="Nothing was checked yet" commands={['lockstep parity', 'lockstep predictions list --limit 5']}>
              Parity checks logged predictions. Servers do it where LOCKSTEP_LOG_PREDICTIONS and LOCKSTEP_PARITY_PER_MINUTE are set.
            </Empty>
          ) : (
            <Panel
              title="Features by time"
              says={
                <>
                  {data.finding}
                  {data.checkedAt !== null && ` The newest checks are of the hour from ${formatMoment(data.checkedAt)} UTC.`}
                </>
              }
              actions={<CsvButton name="Parity" rows={() => csvOf(data)} />}
              ways={waysOf.parity()}
            >
              <HeatMap data={data} />
            </Panel>
          )
        }
      </Loaded>
    </Page>
  )
}

/** The six depths of colour: nothing differs, up to 0.1 %, 1 %, 5 %, 20 %, and more. */
const depths = [0, 0.001, 0.01, 0.05, 0.2] as const

function depthOf(share: number): number {
  const depth = depths.findIndex((bound) => share <= bound)
  return depth < 0 ? depths.length : depth
}

/** A line for each cell that was checked. */
function csvOf({ times, rows }: ParityData): (string | number)[][] {
  const lines = rows.flatMap(({ feature, view, cells }) =>
    cells.flatMap((cell, i) =>
      cell === null ? [] : [[feature, view, new Date(times[i] ?? 0).toISOString(), cell.checked, cell.share, cell.erased]],
    ),
  )
  return [['feature', 'view', 'from', 'checked', 'share that differs', 'erased since'], ...lines]
}

function HeatMap({ data: { finding, times, rows } }: { readonly data: ParityData }): ReactElement {
  const navigate = useNavigate()
  const [at, setAt] = useState<readonly [row: number, column: number]>([0, Math.max(0, times.length - 1)])
  const [row, column] = at
  // on a narrow screen, the newest columns are those in sight
  const frame = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    // a new browser gives a promise, which would be called as the end of the effect
    void frame.current?.scrollTo({ left: frame.current.scrollWidth })
  }, [])
  const cell = rows[row]?.cells[column] ?? null
  const move = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    }
    const step = steps[event.key]
    if (event.key === 'Enter' && cell?.example !== null && cell?.example !== undefined)
      void navigate({ to: '/receipt/$id', params: { id: cell.example }, search: keepMoment })
    if (step === undefined) return
    event.preventDefault()
    const next = [clamp(row + step[0], rows.length), clamp(column + step[1], times.length)] as const
    setAt(next)
    announce(`${rows[next[0]]?.feature ?? ''}, ${formatMoment(times[next[1]] ?? 0)}: ${sayOf(rows[next[0]]?.cells[next[1]] ?? null)}`)
  }
  return (
    <>
      <p className="heat-says" aria-hidden="true">
        <strong>{rows[row]?.feature}</strong> {formatMoment(times[column] ?? 0)} UTC: {sayOf(cell)}
      </p>
      <div
        ref={frame}
        className="table-frame"
        tabIndex={0}
        role="application"
        aria-label={`Heat map of differences: ${finding} A click or the arrow keys choose a cell; Enter opens an example.`}
        onKeyDown={move}
      >
        <table className="heat">
          <caption className="hidden-text">The share of served values that differ from history, by feature and time</caption>
          <thead>
            <tr>
              <th scope="col">Feature, by hour (UTC)</th>
              {times.map((time, index) => (
                <th key={time} scope="col">
                  <span className={index % 4 === 0 ? 'heat-time' : 'hidden-text'}>{shortMoment(time, times)}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ feature, view, cells }, rowIndex) => (
              <tr key={`${view} ${feature}`}>
                <th scope="row">
                  <FeatureLink view={view} feature={feature} />
                </th>
                {cells.map((each, columnIndex) => (
                  <td
                    key={times[columnIndex]}
                    className={each === null || each.checked === 0 ? 'heat-none' : `heat-${depthOf(each.share)}`}
                    data-at={rowIndex === row && columnIndex === column ? true : undefined}
                    // not on hover: on its way to the example the pointer crosses other cells
                    onClick={() => setAt([rowIndex, columnIndex])}
                  >
                    <span className="hidden-text">{sayOf(each)}</span>
                    <span aria-hidden="true">{each !== null && each.share > 0 ? '×' : ''}</span>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ul className="heat-legend" aria-label="Colours">
        <li>
          <i className="heat-none" /> not checked
        </li>
        <li>
          <i className="heat-0" /> all the same
        </li>
        <li>
          <i className="heat-2" /> up to 1 % differ
        </li>
        <li>
          <i className="heat-4" /> up to 20 %
        </li>
        <li>
          <i className="heat-5" /> more
        </li>
      </ul>
      {cell?.example !== null && cell?.example !== undefined && (
        <p>
          <ThingLink kind="receipt" id={cell.example}>
            Open an example of this cell
          </ThingLink>
        </p>
      )}
    </>
  )
}

function sayOf(cell: Cell): string {
  if (cell === null) return 'not checked'
  const checked = `${formatNumber(cell.checked, 'count')} values`
  const erased = cell.erased === 0 ? '' : `; ${formatNumber(cell.erased, 'count')} more not compared, because rows were erased since`
  if (cell.checked === 0) return `not checked${erased}`
  if (cell.share === 0) return `all of ${checked} are the same${erased}`
  const causes = Object.entries(cell.by)
    .filter(([, count]) => count > 0)
    .map(([cause, count]) => `${formatNumber(count, 'count')} ${cause}`)
  return `${formatNumber(cell.share, 'share')} of ${checked} differ${causes.length === 0 ? '' : ` (${causes.join(', ')})`}${erased}`
}

function clamp(index: number, length: number): number {
  return Math.max(0, Math.min(length - 1, index))
}

/** The hour of a column; its day, where columns are days. */
function shortMoment(time: number, times: readonly number[]): string {
  const text = formatMoment(time)
  return (times[1] ?? 0) - (times[0] ?? 0) >= 86_400_000 ? text.slice(5, 10) : text.slice(11, 16)
}
