import type { ReactElement } from 'react'
import type { CalibrationData, QualityData } from '../../serving/dashboard/contract/model.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Chart } from '../parts/chart.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { DriftBadge } from '../parts/drift-badge.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatHarm, formatNumber } from '../parts/format.ts'
import { MoreCharts } from '../parts/more-charts.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'

const shares = [0, 1] as const

/** How good a model is by the outcomes of its predictions, what drifted, and how well its scores are calibrated. */
export function Quality({ name }: { readonly name: string }): ReactElement {
  const quality = useRead<QualityData>(`models/${encodeURIComponent(name)}/quality`, { everyMs: readEveryMs.hour })
  const calibration = useRead<CalibrationData>(`models/${encodeURIComponent(name)}/calibration`, { everyMs: readEveryMs.hour })
  const ways = waysOf.quality(name, quality.data?.data.outcome ?? null)
  return (
    <>
      <Panel title="Quality by outcomes" ways={ways} says={quality.data?.data.finding}>
        <Loaded of={quality} inPanel>
          {({ metrics, overTime, outcomes }) => (
            <>
              {metrics.length > 0 && (
                <Facts
                  of={metrics.map(({ name: metric, value, low, high, n }) => [
                    metric,
                    <span key={metric}>
                      <strong>{formatNumber(value)}</strong>{' '}
                      <span className="dim">
                        {low !== null && high !== null && `${formatNumber(low)} to ${formatNumber(high)}, `}n{'\u00a0'}
                        {formatNumber(n, 'count')}
                      </span>
                    </span>,
                  ])}
                />
              )}
              <MoreCharts
                of={overTime.map(({ name: metric, chart, bound }) => ({ label: `${metric} of ${name} over time`, chart, bound }))}
              />
              <p className="dim">{outcomes}</p>
            </>
          )}
        </Loaded>
      </Panel>
      <Panel title="Drift, the most harmful first" flush ways={waysOf.drift(name)} says={quality.data?.data.driftRule ?? undefined}>
        <Loaded of={quality} inPanel isNoted={false}>
          {({ drift }) => (
            <DataTable
              label={`Drift of the inputs of ${name}`}
              pageSize={10}
              rows={drift}
              rowKey={({ feature }) => feature}
              empty={
                <Empty title="No drift is stored yet" commands={[`lockstep drift ${name}`, `lockstep baseline create ${name}`]}>
                  A worker stores it once an hour, for a version that has a baseline.
                </Empty>
              }
              columns={[
                {
                  name: 'Feature',
                  by: ({ feature }) => feature,
                  cell: ({ feature, view }) => <FeatureLink view={view} feature={feature} />,
                },
                {
                  name: 'State',
                  cell: ({ drifted, distance, since }) => <DriftBadge drifted={drifted} distance={distance} since={since} />,
                },
                {
                  name: 'PSI',
                  numeric: true,
                  by: ({ distance }) => distance,
                  cell: ({ distance, byChance }) => (
                    <>
                      {formatNumber(distance)}
                      {byChance !== null && <div className="dim small">{formatNumber(byChance)} by chance</div>}
                    </>
                  ),
                },
                { name: 'Harm', numeric: true, by: ({ harm }) => harm, cell: ({ harm }) => formatHarm(harm) },
                { name: 'What moved', wide: true, cell: ({ says }) => says },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      <Panel title="Calibration" ways={ways}>
        <Loaded of={calibration} inPanel>
          {({ finding, chart, scores }) =>
            chart === null ? (
              <p className="dim">{finding}</p>
            ) : (
              <>
                <Chart chart={{ ...chart, finding }} label={`Calibration of ${name}`} across="predicted" ends={shares} height={230} />
                {scores !== null && (
                  <Chart chart={scores} label={`Scores of ${name}`} across="predicted" ends={shares} kind="bar" height={140} />
                )}
              </>
            )
          }
        </Loaded>
      </Panel>
    </>
  )
}
