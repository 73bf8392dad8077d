import { useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { ModelData } from '../../serving/dashboard/contract/model.ts'
import { useRead } from '../api/use-read.ts'
import { Chart } from '../parts/chart.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatNumber, pinText } from '../parts/format.ts'
import { usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { ConnectionLinks } from './definition.tsx'
import { ModelActs } from './model-acts.tsx'
import { OverTime } from './model-over-time.tsx'
import { Quality } from './model-quality.tsx'
import { ModelVersions } from './model-versions.tsx'
import { TrainingTable } from './training-table.tsx'

/** A model: its versions, how fast and how good it is, and what moved. */
export default function ModelPage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const name = id.split('@')[0] ?? id
  const model = useRead<ModelData>(`models/${encodeURIComponent(name)}`)
  const data = model.data?.data
  const isPast = usePastMoment() !== undefined
  return (
    <Page
      title={data?.name ?? name}
      kind="Model"
      state={
        data === undefined ? undefined : (
          <StateBadge state={data.pinned !== null ? 'pinned' : data.champion === null ? 'no champion' : 'champion'}>
            {data.pinned !== null
              ? `pinned: version ${data.pinned}`
              : data.champion === null
                ? `no champion${data.versions.length === 0 ? '' : `: the newest ${isPast ? 'answered' : 'answers'}`}`
                : `champion: version ${data.champion}`}
          </StateBadge>
        )
      }
      says={data?.says}
      actions={
        <>
          {data !== undefined && <ModelActs data={data} />}
          <ConnectionLinks kind="model" id={name} />
        </>
      }
    >
      <Loaded of={model}>{(loaded) => <ModelParts data={loaded} />}</Loaded>
    </Page>
  )
}

function ModelParts({ data }: { readonly data: ModelData }): ReactElement {
  const { name, trainings, traffic, latency } = data
  const stats = waysOf.modelTraffic(name)
  return (
    <>
      <div className="grid-2">
        <Panel title="Requests" ways={stats}>
          <Chart chart={traffic} label={`Requests of ${name}`} />
        </Panel>
        <Panel title="Response times" ways={stats}>
          <Chart chart={latency} label={`Response times of ${name}`} />
        </Panel>
      </div>
      <ModelVersions data={data} />
      <OverTime name={name} />
      <Quality name={name} />
      {trainings.length > 0 && (
        <Panel title="Trainings" says="What makes versions of it, and how far the last run of each is." flush ways={waysOf.trainings()}>
          <TrainingTable trainings={trainings} ofModel />
        </Panel>
      )}
      <ModelFacts data={data} />
      <Inputs data={data} />
    </>
  )
}

function ModelFacts({ data }: { readonly data: ModelData }): ReactElement {
  const { name, description, owner, tags, service, champion, pinned, rollBack, rollout, experiment } = data
  const isPast = usePastMoment() !== undefined
  return (
    <Panel title="What it is" ways={waysOf.model(name)}>
      <Facts
        of={[
          ['Description', description],
          ['Service', <ThingLink key="service" kind="service" id={service} />],
          ['Champion', champion === null ? 'none' : `version ${champion}`],
          ['Roll back', rollBack === null ? null : rollBack.to === null ? rollBack.says : `to version ${rollBack.to}`],
          ['Pinned', pinned === null ? null : pinText(pinned, isPast)],
          [
            'Rollout',
            rollout === null ? null : (
              <ThingLink
                key="rollout"
                kind="rollout"
                id={name}
              >{`version ${rollout.version} at ${formatNumber(rollout.share, 'share')}${pinned === null ? '' : ' without the pin'}${rollout.paused ? ', paused' : ''}`}</ThingLink>
            ),
          ],
          ['Experiment', experiment === null ? null : <ThingLink key="experiment" kind="experiment" id={experiment} />],
          ['Owner', owner],
          ['Tags', tags.length === 0 ? null : tags.join(', ')],
        ]}
      />
    </Panel>
  )
}

function Inputs({ data: { name, inputs } }: { readonly data: ModelData }): ReactElement {
  return (
    <Panel title="Inputs" flush ways={waysOf.model(name)}>
      <DataTable
        label={`Inputs of ${name}`}
        pageSize={10}
        rows={inputs}
        rowKey={({ feature }) => feature}
        columns={[
          {
            name: 'Feature',
            by: ({ feature }) => feature,
            cell: ({ feature, view }) => <FeatureLink view={view} feature={feature} />,
          },
          {
            name: 'View',
            by: ({ view }) => view,
            cell: ({ view }) => <ThingLink kind="view" id={view} />,
          },
          { name: 'Type', wide: true, cell: ({ type }) => <span className="mono">{type}</span> },
        ]}
      />
    </Panel>
  )
}
