import { Button } from '@mantine/core'
import { type ReactElement, useState } from 'react'
import type { Chart as ChartData } from '../../serving/dashboard/contract/answer.ts'
import { Chart } from './chart.tsx'

interface MoreChartsProps {
  readonly of: readonly {
    readonly label: string
    readonly chart: ChartData
    /** A horizontal line to compare with. */
    readonly bound?: { readonly value: number; readonly name: string } | null
  }[]
}

/** So many charts are shown at first. */
const firstCharts = 2

/** Charts over time in two columns, the first two at first. */
export function MoreCharts({ of }: MoreChartsProps): ReactElement {
  const [isOpen, setOpen] = useState(false)
  const more = isOpen ? 0 : of.length - firstCharts
  return (
    <>
      <div className="grid-2">
        {(isOpen ? of : of.slice(0, firstCharts)).map(({ label, chart, bound }) => (
          <Chart key={label} chart={chart} label={label} {...(bound === null || bound === undefined ? {} : { bound })} />
        ))}
      </div>
      {more > 0 && (
        <Button variant="default" size="compact-sm" onClick={() => setOpen(true)}>
          Show {more} more over time
        </Button>
      )}
    </>
  )
}
