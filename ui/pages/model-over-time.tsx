import { SegmentedControl } from '@mantine/core'
import { useNavigate, useSearch } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { OverTimeData } from '../../serving/dashboard/contract/model.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { DataTable } from '../parts/data-table.tsx'
import { Moment } from '../parts/moment.tsx'
import { MoreCharts } from '../parts/more-charts.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'

type Step = OverTimeData['step']

/** What a model answered by day or hour, and what changed meanwhile. */
export function OverTime({ name }: { readonly name: string }): ReactElement {
  const { step: asked } = useSearch({ strict: false })
  const step = asked === 'hour' ? 'hour' : 'day'
  const path = `models/${encodeURIComponent(name)}/over-time${step === 'hour' ? '?step=hour' : ''}`
  const overTime = useRead<OverTimeData>(path, { everyMs: readEveryMs.hour })
  const data = overTime.data?.data
  return (
    <>
      <Panel title="Requests and outputs over time" says={data?.says} ways={waysOf.overTime(name, step, data?.outputs[0] ?? null)}>
        <StepSwitch step={step} />
        <Loaded of={overTime} inPanel>
          {({ requests, outputs }) => (
            <>
              <MoreCharts
                of={[
                  { label: `Requests of ${name} over time`, chart: requests },
                  ...outputs.map(({ name: output, kind, chart }) => ({
                    label: `${kind === 'mean' ? 'Mean' : 'Values'} of the output ${output} over time`,
                    chart,
                  })),
                ]}
              />
              {outputs.length === 0 && (
                <Empty title="No output was summarized in this time" commands={[`lockstep stats ${shellText(name)} --since 24h`]}>
                  Servers summarize outputs that are one number, text or boolean.
                </Empty>
              )}
            </>
          )}
        </Loaded>
      </Panel>
      <Panel title="What changed in this time" flush ways={waysOf.modelChanges(name)}>
        <Loaded of={overTime} inPanel isNoted={false}>
          {({ changes }) => (
            <DataTable
              label={`What changed of ${name}, newest first`}
              pageSize={10}
              rows={changes}
              rowKey={({ at, says }) => `${at} ${says}`}
              empty={
                <Empty title="Nothing changed in this time" commands={[`lockstep audit --what ${shellText(name)}`]}>
                  The versions, what answers, the definitions and the drift are the same.
                </Empty>
              }
              columns={[
                { name: 'When', cell: ({ at }) => <Moment at={at} /> },
                {
                  name: 'What',
                  wide: true,
                  cell: ({ says, reason, link }) => (
                    <>
                      {says} {link !== null && <ThingLink {...link}>Open the {link.kind}</ThingLink>}
                      {reason !== null && <div className="dim small">Reason: {reason}</div>}
                    </>
                  ),
                },
                { name: 'Who', cell: ({ who }) => who ?? '–' },
              ]}
            />
          )}
        </Loaded>
      </Panel>
    </>
  )
}

/** Days or hours. The choice stands in the address. */
function StepSwitch({ step }: { readonly step: Step }): ReactElement {
  const navigate = useNavigate()
  const become = (next: Step): void =>
    void navigate({
      to: '.',
      search: (before: object) => ({ ...before, step: next === 'day' ? undefined : next }) as never,
      resetScroll: false,
    })
  return (
    <SegmentedControl
      aria-label="By day or hour"
      data={[
        { value: 'day', label: 'By day' },
        { value: 'hour', label: 'By hour' },
      ]}
      value={step}
      onChange={become}
    />
  )
}
