import { useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { FreshnessData, ViewData } from '../../serving/dashboard/contract/view.ts'
import { readEveryMs } from '../api/read-every.ts'
import { type Read, useRead } from '../api/use-read.ts'
import { kindName } from '../api/use-index.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { Facts, Figures } from '../parts/facts.tsx'
import { formatDuration, formatNumber } from '../parts/format.ts'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Loaded, SkeletonPage } from '../parts/states.tsx'
import { Waterfall } from '../parts/waterfall.tsx'
import { waysOf } from '../parts/ways.ts'
import { DefinitionParts, ConnectionLinks } from './definition.tsx'

/** A feature view: how fresh it is, what it has, who reads it. */
export default function ViewPage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const view = useRead<ViewData>(`views/${encodeURIComponent(id)}`)
  const data = view.data?.data
  return (
    <Page
      title={data?.id ?? id}
      kind={data === undefined ? 'Feature view' : kindName(data.kind)}
      state={data === undefined ? undefined : <StateBadge state={data.state} />}
      says={data?.description}
      actions={<ConnectionLinks kind={data?.kind ?? 'view'} id={data?.id ?? id} />}
    >
      <Loaded of={view}>{(loaded) => <ViewParts data={loaded} />}</Loaded>
    </Page>
  )
}

function ViewParts({ data }: { readonly data: ViewData }): ReactElement {
  const { id, online, state, says, lastRun, nextRun, lacksWorker } = data
  const isPast = usePastMoment() !== undefined
  const freshness = useRead<FreshnessData>(`views/${encodeURIComponent(id)}/freshness`, { enabled: online, everyMs: readEveryMs.day })
  // what stands below would jump when it comes
  if (online && freshness.data === undefined && freshness.error === null) return <SkeletonPage />
  return (
    <>
      <Figures
        of={[
          { name: 'Online', value: online ? 'yes' : 'no', note: says, ...(state === 'late' ? { tone: 'warn' as const } : {}) },
          ...(lastRun === null ? [] : [{ name: 'Last run', value: <Moment at={lastRun} /> }]),
          ...(nextRun === null
            ? []
            : lacksWorker
              ? [{ name: 'Next run', value: 'none', note: 'No worker is connected: start “lockstep worker”.', tone: 'warn' as const }]
              : [{ name: isPast ? 'Next run planned for' : 'Next run', value: <Moment at={nextRun} /> }]),
        ]}
      />
      {online && <Freshness id={id} of={freshness} />}
      <DefinitionParts data={data} />
    </>
  )
}

function Freshness({ id, of: freshness }: { readonly id: string; readonly of: Read<FreshnessData> }): ReactElement {
  return (
    <Panel title="Freshness: from the event to the answer" ways={waysOf.freshness(id)}>
      <Loaded of={freshness}>
        {({ finding, boundSeconds, stages, waits, served }) => (
          <>
            <p>
              {finding}
              {boundSeconds !== null && ` The view may be ${formatDuration(boundSeconds)} behind its source, whatever the age of its rows.`}
            </p>
            {stages.some(({ p50 }) => p50 !== null) && (
              <Waterfall
                label="From the event to the answer, the median of each stage"
                unit="seconds"
                stages={stages.map(({ name, p50, p99, says }) => ({ name, value: p50, worst: p99, says }))}
              />
            )}
            <Facts
              of={waits.map(({ name, seconds, of }) => [
                name,
                seconds === null ? null : `${formatNumber(seconds, 'seconds')}${of === null ? '' : `, ${of}`}`,
              ])}
            />
            <Chart chart={served} label="Age of served values" />
          </>
        )}
      </Loaded>
    </Panel>
  )
}
