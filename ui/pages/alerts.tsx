import { EmptyState } from '@mantine/core'
import { Link, useSearch } from '@tanstack/react-router'
import { Fragment, type ReactElement, useState } from 'react'
import type { AlertsData } from '../../serving/dashboard/contract/alerts.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { Chart } from '../parts/chart.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Command } from '../parts/command.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { FilterText } from '../parts/filters.tsx'
import { type Unit, formatDuration, formatMoment, formatNumber } from '../parts/format.ts'
import { Labelled } from '../parts/labelled.tsx'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { SeverityBadge } from '../parts/severity-badge.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepFilter } from '../shell/navigation.tsx'

type Alert = AlertsData['alerts'][number]

/** By check: what it measures, what it counts, and the unit. */
const measures: Readonly<Record<string, readonly [measure: string, counted: string, unit?: Unit]>> = {
  drift: ['PSI beyond chance', 'rows'],
  predictions: ['PSI beyond chance', 'rows'],
  nulls: ['Share without a value', 'rows', 'share'],
  errors: ['Burn rate', 'requests'],
  latency: ['Response time', 'requests', 'ms'],
  quality: ['Figure', 'predictions'],
  parity: ['Share that differs', 'values', 'share'],
  jobs: ['Stuck', 'jobs'],
  freshness: ['Behind', '', 'seconds'],
  arrivals: ['Without rows', '', 'seconds'],
  clock: ['Clock is off by', '', 'seconds'],
  traffic: ['Deviation score', 'hours of history'],
  rollouts: ['Held for', '', 'seconds'],
}

/** What fires now, and what fired before. */
export default function Alerts(): ReactElement {
  const { alert } = useSearch({ strict: false })
  return alert === undefined ? <AllAlerts /> : <OneAlert id={alert} />
}

function OneAlert({ id }: { readonly id: string }): ReactElement {
  const { q } = useSearch({ strict: false })
  const alerts = useRead<AlertsData>(`alerts?id=${encodeURIComponent(id)}`)
  const isPast = usePastMoment() !== undefined
  return (
    <Page
      title={`Alert ${id}`}
      says={
        <Link to="/alerts" search={keepFilter}>
          {q === undefined ? 'All alerts' : `Alerts with “${q}”`}
        </Link>
      }
      ways={waysOf.alerts()}
    >
      <Loaded of={alerts}>
        {({ alerts: [alert], notifications, chart }) =>
          alert === undefined ? (
            <Empty title={isPast ? 'This alert had not fired' : 'There is no such alert'} commands={['lockstep alert list --state all']} />
          ) : (
            <>
              <ol className="problems" aria-label="The alert">
                <AlertCard alert={alert} isOne />
              </ol>
              {chart !== null && (
                <Panel title="Over time" says={chart.label} ways={waysOf.alerts()}>
                  <Chart chart={chart.chart} label={chart.label} {...(chart.bound === null ? {} : { bound: chart.bound })} />
                </Panel>
              )}
              <Notifications of={notifications ?? []} />
            </>
          )
        }
      </Loaded>
    </Page>
  )
}

function Notifications({ of }: { readonly of: NonNullable<AlertsData['notifications']> }): ReactElement {
  return (
    <Panel title="Notifications" flush ways={waysOf.alerts()}>
      <DataTable
        label="Notifications of the alert"
        rows={of}
        rowKey={({ channel, event, createdAt }) => `${channel} ${event} ${createdAt}`}
        empty={<EmptyState description="No channel was notified." />}
        columns={[
          { name: 'Channel', cell: ({ channel }) => channel },
          { name: 'Event', cell: ({ event }) => event },
          { name: 'State', cell: ({ state }) => <StateBadge state={state} tone={notificationTones[state]} /> },
          { name: 'When', cell: ({ createdAt, endedAt }) => <Moment at={endedAt ?? createdAt} /> },
          { name: 'Tries', numeric: true, cell: ({ attempts }) => formatNumber(attempts, 'count') },
          { name: 'Last error', wide: true, cell: ({ error }) => <span className="break">{error ?? '–'}</span> },
        ]}
      />
    </Panel>
  )
}

const notificationTones = { open: 'plain', sent: 'good', dropped: 'bad' } as const

function AllAlerts(): ReactElement {
  const { q: asked = '' } = useSearch({ strict: false })
  // a place is one of the list that was asked for
  const [place, setPlace] = useState({ asked, cursor: null as string | null })
  const cursor = place.asked === asked ? place.cursor : null
  const query = new URLSearchParams({ ...(asked === '' ? {} : { q: asked }), ...(cursor === null ? {} : { cursor }) }).toString()
  const alerts = useRead<AlertsData>(query === '' ? 'alerts' : `alerts?${query}`)
  return (
    <Page title="Alerts" says="What monitors found, each with its evidence and likely cause." ways={waysOf.alerts()}>
      <FilterText word="q" label="Filter by monitor, check or subject" />
      <Loaded of={alerts}>
        {(data) => (
          <>
            <AlertParts alerts={data.alerts} isFiltered={asked !== ''} />
            <Pages first={cursor === null} next={data.cursor} show={(to) => setPlace({ asked, cursor: to })} what="alerts" />
            {data.monitors !== null && asked === '' && <Monitors of={data.monitors} />}
          </>
        )}
      </Loaded>
    </Page>
  )
}

const phaseTones = { firing: 'bad', pending: 'warn', ok: 'good' } as const

function Monitors({ of }: { readonly of: NonNullable<AlertsData['monitors']> }): ReactElement {
  return (
    <Panel
      title="Monitors"
      says="Each runs its checks as often as it says. What no worker evaluates cannot fire."
      flush
      ways={waysOf.monitors()}
    >
      <DataTable
        label="State of all monitors"
        rows={of}
        rowKey={({ name }) => name}
        empty={<EmptyState description="There are no monitors." />}
        columns={[
          { name: 'Monitor', cell: ({ name }) => <strong>{name}</strong>, by: ({ name }) => name },
          { name: 'Watches', cell: ({ watches }) => watches, by: ({ watches }) => watches },
          {
            name: 'State',
            cell: ({ phase, says }) => (
              <StateBadge state={says} tone={phase === null || says === 'unknown' ? 'plain' : phaseTones[phase]} />
            ),
            by: ({ says }) => says,
          },
          { name: 'Why', wide: true, cell: ({ why }) => why ?? '–' },
          { name: 'Every', cell: ({ everySeconds }) => formatDuration(everySeconds), by: ({ everySeconds }) => everySeconds },
          { name: 'Evaluated', cell: ({ evaluatedAt }) => <Moment at={evaluatedAt} />, by: ({ evaluatedAt }) => evaluatedAt },
        ]}
      />
    </Panel>
  )
}

function AlertParts({ alerts, isFiltered }: { readonly alerts: readonly Alert[]; readonly isFiltered: boolean }): ReactElement {
  const isPast = usePastMoment() !== undefined
  const firing = alerts.filter(({ state }) => state === 'firing')
  const past = alerts.filter(({ state }) => state !== 'firing')
  return (
    <>
      {isFiltered && alerts.length === 0 && <Empty title="No alert has this text" />}
      {!isFiltered && firing.length === 0 && (
        <Empty
          title={isPast ? 'Nothing fired' : 'Nothing fires'}
          {...(past.length === 0 ? { commands: ['lockstep monitor list', 'lockstep worker'] } : {})}
        >
          Monitors run as jobs. Those of the defaults watch every view and model.
        </Empty>
      )}
      {firing.length > 0 && (
        <ol className="problems" aria-label="Alerts that fire">
          {firing.map((alert) => (
            <AlertCard key={alert.id} alert={alert} />
          ))}
        </ol>
      )}
      {past.length > 0 && (
        <Panel title="Earlier" flush ways={waysOf.alerts()}>
          <DataTable
            label="Alerts that no longer fire"
            rows={past}
            rowKey={({ id }) => id}
            columns={[
              {
                name: 'What',
                wide: true,
                cell: ({ id, says, cause }) => (
                  <>
                    <ThingLink kind="alert" id={id}>
                      {says}
                    </ThingLink>
                    {cause !== null && <div className="dim small">{cause}</div>}
                  </>
                ),
                by: ({ says }) => says,
              },
              { name: 'Monitor', cell: ({ monitor }) => monitor, by: ({ monitor }) => monitor },
              { name: 'Began', cell: ({ startedAt }) => <Moment at={startedAt} />, by: ({ startedAt }) => startedAt },
              { name: 'Ended', cell: ({ resolvedAt }) => <Moment at={resolvedAt} />, by: ({ resolvedAt }) => resolvedAt },
            ]}
          />
        </Panel>
      )}
    </>
  )
}

function figureText({ value, n }: Alert['fired'], counted: string, unit: Unit | undefined): string | null {
  if (value === null) return null
  return n === null || counted === ''
    ? formatNumber(value, unit)
    : `${formatNumber(value, unit)}, of ${formatNumber(n, 'count')} ${counted}`
}

interface AlertCardProps {
  readonly alert: Alert
  /** Whether it is the only one of the page. */
  readonly isOne?: boolean
}

function AlertCard({ alert, isOne = false }: AlertCardProps): ReactElement {
  const { id, monitor, check, subject, says, cause, newestCause, description, runbook, startedAt, resolvedAt, fired, newest, link } = alert
  const { model, features } = alert
  const isPast = usePastMoment() !== undefined
  const [measure, counted, unit] = measures[check] ?? ['Measured', 'measurements']
  return (
    <li className="problem" data-tone={toneOf(alert)}>
      <div className="problem-head">
        <AlertBadge alert={alert} />
        <span className="dim">
          began <Moment at={startedAt} />
          {resolvedAt !== null && (
            <>
              , ended <Moment at={resolvedAt} />
            </>
          )}
        </span>
        {resolvedAt === null && <Silencing alert={alert} />}
      </div>
      <p className="problem-what">
        {isOne ? (
          says
        ) : (
          <ThingLink kind="alert" id={id}>
            {says}
          </ThingLink>
        )}
      </p>
      <Labelled label="Likely cause">{cause}</Labelled>
      {isOne && (
        <>
          <Labelled label="By the newest evaluation">{newestCause}</Labelled>
          <Labelled label="About the monitor">{description}</Labelled>
        </>
      )}
      <Facts
        of={[
          ['Subject', link === null ? subject : <ThingLink {...link}>{subject}</ThingLink>],
          ['Monitor', isOne ? monitor : null],
          ['Check', isOne ? check : null],
          [`${measure}, when it fired`, figureText(fired, counted, unit)],
          [`${measure}, newest`, newest === null ? null : figureText(newest, counted, unit)],
          ['Threshold', fired.threshold === null ? null : formatNumber(fired.threshold, unit)],
          ['Model', model === null ? null : <ThingLink key="model" kind="model" id={model} />],
          [
            features.length === 1 ? 'Feature' : 'Features',
            features.length === 0
              ? null
              : features.map(({ feature, view }, i) => (
                  <Fragment key={feature}>
                    {i > 0 && ', '}
                    <FeatureLink view={view} feature={feature} />
                  </Fragment>
                )),
          ],
        ]}
      />
      {runbook !== null && /^https?:/.test(runbook) && (
        <p>
          <a href={runbook} rel="noreferrer">
            Runbook
          </a>
        </p>
      )}
      {isOne && !isPast && <Command text={`lockstep alert show ${id}`} />}
    </li>
  )
}

function toneOf({ state, silencedUntil, severity }: Alert): 'plain' | 'bad' | 'warn' {
  if (state === 'resolved' || silencedUntil !== null) return 'plain'
  return severity === 'page' ? 'bad' : 'warn'
}

function AlertBadge({ alert }: { readonly alert: Alert }): ReactElement {
  const { state, silencedUntil, severity } = alert
  if (state === 'resolved') return <StateBadge state="resolved" tone="good" />
  if (silencedUntil !== null) return <StateBadge state="silenced">Silenced until {formatMoment(silencedUntil)} UTC</StateBadge>
  return <SeverityBadge severity={severity === 'page' ? 'page' : 'warn'} />
}

function Silencing({ alert: { id, monitor, says, silencedUntil, revision } }: { readonly alert: Alert }): ReactElement {
  return (
    <span className="problem-acts">
      {silencedUntil === null ? (
        <Act
          name="Silence"
          title={`Silence ${monitor} for 2 hours`}
          path={`alerts/${id}/silence`}
          body={{ for: '2h' }}
          ifMatch={revision}
          done="The alert is silent for 2 hours."
        >
          <p>Nobody is notified of “{says}” for 2 hours. The alert continues and stays on this page.</p>
        </Act>
      ) : (
        <Act
          name="End the silence"
          title={`End the silence of ${monitor}`}
          path={`alerts/${id}/unsilence`}
          ifMatch={revision}
          done="The alert notifies again."
        >
          <p>Channels are notified again of “{says}”.</p>
        </Act>
      )}
    </span>
  )
}
