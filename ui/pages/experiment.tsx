import { Button, EmptyState, Slider } from '@mantine/core'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { type ReactElement, useEffect, useState } from 'react'
import type { ExperimentData } from '../../serving/dashboard/contract/experiment.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts, Figures } from '../parts/facts.tsx'
import { formatMoment, formatNumber } from '../parts/format.ts'
import { IntervalBar } from '../parts/interval-bar.tsx'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { type Ways, waysOf } from '../parts/ways.ts'

type Metric = ExperimentData['metrics'][number]

/** What an experiment says by now, how sure that is, and whether to trust it. */
export default function Experiment(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const experiment = useRead<ExperimentData>(`experiments/${encodeURIComponent(id)}/series`)
  const data = experiment.data?.data
  return (
    <Page
      title={data?.name ?? id}
      kind="Experiment"
      state={data === undefined ? undefined : <StateBadge state={data.state} />}
      says={data === undefined ? undefined : [data.decision, data.verdict].filter((text) => text !== null).join(' ')}
    >
      <Loaded of={experiment}>{(loaded) => <ExperimentParts data={loaded} />}</Loaded>
    </Page>
  )
}

/** When the units that are not mature will count. */
function waitNote({ immatureShare, maturesAt }: NonNullable<ExperimentData['progress']>): string {
  if (immatureShare === 0) return 'no unit waits'
  if (maturesAt === null || maturesAt === undefined) return 'they count later'
  return `the first counts at ${formatMoment(maturesAt.first)} UTC, all exposed so far at ${formatMoment(maturesAt.last)} UTC`
}

function ExperimentParts({ data }: { readonly data: ExperimentData }): ReactElement {
  const { name, model, description, startedAt, endedAt, analyzedAt, method, variants, metrics, health, split, exposures, progress } = data
  const primary = metrics.filter(({ role }) => role === 'primary')
  const others = metrics.filter(({ role }) => role !== 'primary')
  const ways = waysOf.experiment(name)
  return (
    <>
      {data.analyses.length > 1 && <ScrubBack analyses={data.analyses} />}
      {progress !== null && (
        <Figures
          of={[
            {
              name: 'Mature units',
              value: formatNumber(progress.units, 'count'),
              note:
                progress.planned === null ? 'with a value of the primary metric' : `of ${formatNumber(progress.planned, 'count')} planned`,
            },
            { name: 'Not mature yet', value: formatNumber(progress.immatureShare, 'share'), note: waitNote(progress) },
            ...(progress.unitsByDay !== null
              ? [{ name: 'New units a day', value: formatNumber(progress.unitsByDay, 'count') }]
              : endedAt === null
                ? [{ name: 'New units a day', value: '–', note: 'known after 7 days of exposures' }]
                : []),
            ...(progress.daysLeft === null ? [] : [{ name: 'Days left', value: formatNumber(progress.daysLeft, 'count') }]),
          ]}
        />
      )}
      {metrics.length === 0 && (
        <Empty
          title="Nothing was analyzed yet"
          commands={[
            data.state === 'not started' ? `lockstep experiment start ${name}` : 'lockstep worker',
            `lockstep experiment show ${name} --analyze`,
          ]}
        >
          Results are computed by a job. They appear once units have metrics.
        </Empty>
      )}
      {primary.map((metric) => (
        <MetricPanel key={`${metric.metric} ${metric.variant}`} metric={metric} ways={ways} />
      ))}
      {split !== null && (
        <Panel title="Split of the units" ways={ways}>
          <Chart
            chart={split.chart}
            label="Evidence of another split than the planned one"
            kind="step"
            height={110}
            bound={{ value: split.bound, name: 'not as planned' }}
          />
        </Panel>
      )}
      {others.length > 0 && (
        <Panel title="Guardrails and other metrics" flush ways={ways}>
          <DataTable
            label="Metrics that are not primary"
            rows={others}
            rowKey={({ metric, variant }) => `${metric} ${variant}`}
            columns={[
              { name: 'Metric', cell: ({ metric }) => <strong>{metric}</strong>, by: ({ metric }) => metric },
              { name: 'Role', cell: ({ role }) => role, by: ({ role }) => role },
              { name: 'Variant', cell: ({ variant }) => variant },
              {
                name: 'Lift',
                numeric: true,
                cell: ({ lift }) => (lift === null ? '–' : signed(lift.value)),
                by: ({ lift }) => lift?.value ?? null,
              },
              {
                name: 'Interval',
                cell: ({ lift, metric }) => (lift === null ? '–' : <IntervalBar of={lift} label={`Lift of ${metric}`} unit="share" />),
              },
              { name: 'Says', wide: true, cell: ({ says }) => says },
            ]}
          />
        </Panel>
      )}
      <div className="grid-2">
        <Panel title="Can it be trusted?" flush ways={ways}>
          <DataTable
            label="Checks of the experiment's health"
            rows={health}
            rowKey={({ check }) => check}
            empty={<EmptyState description="Nothing was checked yet." />}
            columns={[
              { name: 'Check', cell: ({ check }) => check },
              {
                name: 'State',
                cell: ({ state }) => (
                  <StateBadge
                    state={state}
                    tone={state === 'failing' ? 'bad' : state === 'unknown' ? 'plain' : state === 'ok' ? 'good' : 'warn'}
                  />
                ),
              },
              { name: 'Says', wide: true, cell: ({ text }) => text },
            ]}
          />
        </Panel>
        <Panel title="Exposures" ways={waysOf.exposures(name)}>
          <Chart chart={exposures} label="New units by day" height={160} kind={exposures.series.length > 1 ? 'line' : 'bar'} />
        </Panel>
      </div>
      <Panel title="Design" flush ways={waysOf.definition('experiment', name)}>
        <div className="panel-body">
          <Facts
            of={[
              ['Model', <ThingLink key="model" kind="model" id={model} />],
              ['Question', description],
              ['Analysis', method],
              ['Started', startedAt === null ? null : <Moment key="s" at={startedAt} />],
              ['Ended', endedAt === null ? null : <Moment key="e" at={endedAt} />],
              ['Analyzed', analyzedAt === null ? null : <Moment key="a" at={analyzedAt} />],
            ]}
          />
        </div>
        <DataTable
          label="Variants"
          rows={variants}
          rowKey={({ variant }) => variant}
          columns={[
            { name: 'Variant', cell: ({ variant }) => <strong>{variant}</strong> },
            { name: 'Version', cell: ({ version }) => (version === null ? '–' : `version ${version}`) },
            { name: 'Planned share', numeric: true, cell: ({ weight }) => formatNumber(weight, 'share') },
            { name: 'Units', numeric: true, cell: ({ units }) => formatNumber(units, 'count') },
            { name: 'Rows', numeric: true, cell: ({ rows }) => formatNumber(rows, 'count') },
          ]}
        />
      </Panel>
    </>
  )
}

/** Chooses an analysis: all of the page is what was known then. The moment stands in the address. */
function ScrubBack({ analyses }: Pick<ExperimentData, 'analyses'>): ReactElement {
  const newest = analyses.length - 1
  const { asOf: moment } = useSearch({ strict: false })
  const shown = moment === undefined ? newest : analyses.findLastIndex((each) => Date.parse(each) <= Date.parse(moment))
  // the address follows the slider later
  const [moved, move] = useState<number | null>(null)
  useEffect(() => move((before) => (before === shown ? null : before)), [shown])
  const chosen = moved ?? shown
  const navigate = useNavigate()
  const go = (index: number): void => {
    move(index === shown ? null : index)
    const asOf = index === newest ? undefined : analyses[index]
    void navigate({ to: '.', search: (before: object) => ({ ...before, asOf }) as never, resetScroll: false })
  }
  const text = chosen < 0 ? 'before the first analysis' : `${formatMoment(analyses[chosen] ?? '')} UTC`
  const place = `analysis ${chosen + 1} of ${analyses.length}${chosen === newest ? ', the newest' : ''}`
  return (
    <div className="time-bar" role="group" aria-label="What was known when">
      <div className="time-now">
        <span className="dim">What was known</span> <strong>{text}</strong> {chosen >= 0 && <span className="dim">{place}</span>}
      </div>
      <Slider
        min={0}
        max={newest}
        value={Math.max(0, chosen)}
        onChange={move}
        onChangeEnd={go}
        label={null}
        thumbLabel="The analysis"
        thumbProps={{ 'aria-valuetext': `${text}, ${place}` }}
      />
      <div className="row">
        <Button variant="default" size="compact-sm" disabled={chosen <= 0} onClick={() => go(chosen - 1)}>
          Earlier analysis
        </Button>
        <Button variant="default" size="compact-sm" disabled={chosen === newest} onClick={() => go(chosen + 1)}>
          Later analysis
        </Button>
        <Button variant="default" size="compact-sm" disabled={chosen === newest} onClick={() => go(newest)}>
          Newest
        </Button>
      </div>
    </div>
  )
}

function MetricPanel({ metric, ways }: { readonly metric: Metric; readonly ways: Ways }): ReactElement {
  const { metric: name, variant, says, lift, series, better, detectable } = metric
  return (
    <Panel title={`${name}: ${variant} against the control`} {...(series === null ? { says } : {})} ways={ways}>
      {lift !== null && (
        <Facts
          of={[
            ['Lift', <strong key="lift">{signed(lift.value)}</strong>],
            ['Interval', `${signed(lift.low)} to ${signed(lift.high)}`],
            ['Better is', better],
            ['Difference found in 80 of 100 cases', detectable === null ? null : formatNumber(detectable)],
          ]}
        />
      )}
      {series !== null && (
        <Chart chart={series} label={`Difference of ${name} over time`} height={240} bound={{ value: 0, name: 'no difference' }} />
      )}
    </Panel>
  )
}

function signed(share: number): string {
  return `${share > 0 ? '+' : ''}${formatNumber(share, 'share')}`
}
