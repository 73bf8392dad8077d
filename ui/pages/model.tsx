import { useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { CalibrationData, ModelData, QualityData } from '../../serving/dashboard/contract/model.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { DriftBadge } from '../parts/drift-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatHarm, formatNumber, pinText } from '../parts/format.ts'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { MoreCharts } from '../parts/more-charts.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { LineageLink } from './definition.tsx'
import { OverTime } from './model-over-time.tsx'
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
          {data !== undefined && <Acts data={data} />}
          <LineageLink kind="model" id={name} />
        </>
      }
    >
      <Loaded of={model}>{(loaded) => <ModelParts data={loaded} />}</Loaded>
    </Page>
  )
}

function Acts({ data: { name, champion, pinned, rollBack, revision, says } }: { readonly data: ModelData }): ReactElement {
  const path = `models/${encodeURIComponent(name)}`
  const to = rollBack?.to ?? null
  return (
    <>
      {to !== null && (
        <Act
          name="Roll back"
          title={`Roll ${name} back to version ${to}`}
          path={`${path}/rollback`}
          body={{ to }}
          ifMatch={revision}
          danger
          done={`Version ${to} is the champion.`}
        >
          <p>
            Version {to}, the champion before version {champion}, {pinned === null ? 'answers' : 'is the champion'} from the next request
            on. {staysPinned(pinned)} {says}
          </p>
        </Act>
      )}
      {pinned !== null && (
        <Act name="Unpin" title={`Unpin ${name}`} path={`${path}/unpin`} ifMatch={revision} done="The model is no longer pinned.">
          <p>Version {pinned} no longer answers everything. The champion and a rollout do.</p>
        </Act>
      )}
    </>
  )
}

function staysPinned(pinned: number | null): string {
  return pinned === null ? '' : `Version ${pinned} stays pinned: it answers all requests that name no version until you unpin it.`
}

function ModelParts({ data }: { readonly data: ModelData }): ReactElement {
  const {
    name,
    description,
    owner,
    tags,
    service,
    champion,
    pinned,
    rollBack,
    revision,
    rollout,
    experiment,
    versions,
    trainings,
    inputs,
    traffic,
    latency,
  } = data
  const ways = waysOf.model(name)
  const stats = waysOf.modelTraffic(name)
  const path = `models/${encodeURIComponent(name)}`
  const isPast = usePastMoment() !== undefined
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
      <Panel title="Versions" says={data.versionsSay} flush ways={ways}>
        <DataTable
          label={`Versions of ${name}`}
          rows={versions}
          rowKey={({ version }) => String(version)}
          empty={
            <Empty
              title="No version was pushed yet"
              commands={[`lockstep model push ${name} ${name}.onnx`, `lockstep model promote ${name}@1`]}
            />
          }
          columns={[
            { name: 'Version', numeric: true, by: ({ version }) => version, cell: ({ version }) => <strong>{version}</strong> },
            {
              name: 'Role',
              by: ({ role }) => role,
              cell: ({ role, version }) => (
                <span className="row tight">
                  {role !== null && <StateBadge state={role} tone={role === 'champion' && pinned === null ? 'good' : 'calm'} />}
                  {version === pinned && <StateBadge state="pinned" />}
                  {role === null && version !== pinned && <span className="dim">none</span>}
                </span>
              ),
            },
            {
              name: 'Pushed',
              by: ({ pushedAt }) => pushedAt,
              cell: ({ pushedAt, sizeBytes }) => (
                <>
                  <Moment at={pushedAt} />
                  <div className="dim small">{formatNumber(sizeBytes, 'bytes')}</div>
                </>
              ),
            },
            {
              name: 'Requests',
              numeric: true,
              by: ({ requests }) => requests,
              cell: ({ requests }) => formatNumber(requests, 'count'),
            },
            { name: 'Failed', numeric: true, by: ({ failed }) => failed, cell: ({ failed }) => formatNumber(failed, 'count') },
            { name: 'p99', numeric: true, by: ({ p99Ms }) => p99Ms, cell: ({ p99Ms }) => formatNumber(p99Ms, 'ms') },
            {
              name: 'Notes',
              wide: true,
              cell: ({ note, baseline, trainedBy }) => (
                <>
                  {note}
                  {!baseline && (
                    <>
                      ; <span className="dim">no baseline: drift has nothing to compare with</span>
                    </>
                  )}
                  {trainedBy !== null && (
                    <div className="small">
                      by{' '}
                      <ThingLink kind="job" id={trainedBy.job}>
                        job {trainedBy.job}
                      </ThingLink>{' '}
                      of <ThingLink kind="training" id={trainedBy.training} />
                    </div>
                  )}
                </>
              ),
            },
            {
              name: 'Act',
              acts: 'ui:operate',
              cell: ({ version, evidence }) => (
                <span className="row tight one-line">
                  {version !== champion && (
                    <Act
                      name="Promote"
                      title={`Promote version ${version} of ${name}`}
                      path={`${path}/promote`}
                      body={{ version }}
                      ifMatch={revision}
                      done={`Version ${version} is the champion.`}
                    >
                      <p>
                        Version {version} {pinned === null ? 'answers all requests that name no version' : 'becomes the champion'}, in place
                        of version {champion ?? 'none'}. {staysPinned(pinned)}
                      </p>
                      <p>{evidence}</p>
                    </Act>
                  )}
                  {version !== pinned && (
                    <Act
                      name="Pin"
                      title={`Pin ${name} to version ${version}`}
                      path={`${path}/pin`}
                      body={{ version }}
                      ifMatch={revision}
                      done={`Version ${version} is pinned.`}
                    >
                      <p>Version {version} answers everything, whatever a rollout says, until you unpin it.</p>
                    </Act>
                  )}
                </span>
              ),
            },
          ]}
        />
      </Panel>
      <OverTime name={name} />
      <Quality name={name} />
      {trainings.length > 0 && (
        <Panel title="Trainings" says="What makes versions of it, and how far the last run of each is." flush ways={waysOf.trainings()}>
          <TrainingTable trainings={trainings} ofModel />
        </Panel>
      )}
      <Panel title="What it is" ways={ways}>
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
      <Panel title="Inputs" flush ways={ways}>
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
    </>
  )
}

const shares = [0, 1] as const

function Quality({ name }: { readonly name: string }): ReactElement {
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
                { name: 'Harm', numeric: true, by: ({ harm }) => harm, cell: ({ harm }) => formatHarm(harm) },
                { name: 'Says', wide: true, cell: ({ says, cause }) => [says, cause].filter(Boolean).join(' ') },
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
