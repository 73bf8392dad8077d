import { useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { FeatureData } from '../../serving/dashboard/contract/feature.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { DriftBadge } from '../parts/drift-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { formatHarm, formatNumber } from '../parts/format.ts'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { DefinitionParts, ConnectionLinks } from './definition.tsx'

/** A feature: its values as served beside those of training, and why values are missing. */
export default function FeaturePage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const feature = useRead<FeatureData>(`features/${encodeURIComponent(id)}/stats`, { everyMs: readEveryMs.hour })
  const data = feature.data?.data
  const name = id.slice(id.lastIndexOf('.') + 1)
  return (
    <Page
      title={name}
      kind={data === undefined ? 'Feature' : `Feature of ${data.view}`}
      state={data?.drift.some(({ drifted }) => drifted) === true ? <StateBadge state="drifted" tone="bad" /> : undefined}
      says={data === undefined ? undefined : `${data.computed}, ${data.type}`}
      actions={data === undefined ? undefined : <ConnectionLinks kind={data.kind} id={data.view} />}
    >
      <Loaded of={feature}>{(loaded) => <FeatureParts data={loaded} name={name} />}</Loaded>
    </Page>
  )
}

function FeatureParts({ data, name }: { readonly data: FeatureData; readonly name: string }): ReactElement {
  const { view, distribution, categories, reference, nulls, nullsInTraining, drift, uses } = data
  const ways = waysOf.served(view, name, uses)
  const [user] = uses
  return (
    <>
      <Panel title={`As served, beside ${reference}`} ways={ways}>
        {distribution !== null && (
          <Chart
            chart={distribution.chart}
            label={`Distribution of ${name}`}
            kind="bar"
            height={220}
            across={`Bin of ${name}`}
            names={distribution.bins}
          />
        )}
        {categories.length > 0 && (
          <DataTable
            label={`Values of ${name}`}
            rows={categories}
            rowKey={({ value }) => value}
            columns={[
              { name: 'Value', cell: ({ value }) => <span className="break">{value}</span>, by: ({ value }) => value },
              { name: 'Served', numeric: true, cell: ({ served }) => formatNumber(served, 'share'), by: ({ served }) => served },
              {
                name: reference === 'training' ? 'Training' : 'First rows',
                numeric: true,
                cell: ({ trained }) => formatNumber(trained, 'share'),
                by: ({ trained }) => trained,
              },
            ]}
          />
        )}
        {distribution === null && categories.length === 0 && user === undefined && (
          <Empty title="No model reads it directly">Values are summarized as models read them.</Empty>
        )}
        {distribution === null && categories.length === 0 && user !== undefined && (
          <Empty
            title="There is no summary of its values yet"
            commands={[`lockstep baseline create ${shellText(user.model)}`, `lockstep stats ${shellText(user.model)} --since 24h`]}
          >
            Servers write summaries each minute, and a baseline keeps those of training.
          </Empty>
        )}
      </Panel>
      <Panel
        title="Missing values, by reason"
        says={
          nullsInTraining.length === 0
            ? undefined
            : `In ${reference}: ${nullsInTraining.map(({ reason, share }) => `${reason} ${formatNumber(share, 'share')}`).join(', ')}.`
        }
        ways={ways}
      >
        <Chart chart={nulls} label={`Missing values of ${name}`} height={160} />
      </Panel>
      {drift.length > 0 && (
        <Panel title="Drift, by model" flush ways={ways}>
          <DataTable
            label={`Drift of ${name} by model`}
            rows={drift}
            rowKey={(each) => `${each.model} ${each.column}`}
            columns={[
              { name: 'Model', cell: (each) => <ThingLink kind="model" id={each.model} /> },
              { name: 'Read as', cell: ({ column }) => column },
              { name: 'State', cell: ({ drifted, distance, since }) => <DriftBadge drifted={drifted} distance={distance} since={since} /> },
              { name: 'Distance', numeric: true, cell: ({ distance }) => formatNumber(distance) },
              { name: 'Harm', numeric: true, cell: ({ harm }) => formatHarm(harm) },
              { name: 'Says', wide: true, cell: ({ says }) => says },
            ]}
          />
        </Panel>
      )}
      <DefinitionParts
        readOf={data.id}
        data={{ ...data, id: view, facts: [{ name: 'View', value: view, link: { kind: 'view', id: view } }, ...data.facts] }}
      />
    </>
  )
}
