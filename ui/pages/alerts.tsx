import { Link, useSearch } from '@tanstack/react-router'
import { Fragment, type ReactElement, useState } from 'react'
import type { AlertsData } from '../../serving/dashboard/contract/alerts.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { Badge } from '../parts/badge.tsx'
import { Command } from '../parts/command.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatMoment, formatNumber } from '../parts/format.ts'
import { Labelled } from '../parts/labelled.tsx'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { FeatureLink, ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepMoment } from '../shell/navigation.tsx'

type Alert = AlertsData['alerts'][number]

/** By check: what it measures, and what it counts. */
const measures: Readonly<Record<string, readonly [measure: string, counted: string]>> = {
  drift: ['PSI beyond chance', 'rows'],
  predictions: ['PSI beyond chance', 'rows'],
  nulls: ['Share without a value', 'rows'],
  errors: ['Burn rate', 'requests'],
  latency: ['Milliseconds', 'requests'],
  quality: ['Figure', 'predictions'],
  parity: ['Share that differs', 'values'],
  jobs: ['Stuck', 'jobs'],
  freshness: ['Seconds behind', ''],
  arrivals: ['Seconds without rows', ''],
  clock: ['Seconds off', ''],
  traffic: ['Deviation score', 'hours of history'],
}

/** What fires now, and what fired before. */
export default function Alerts(): ReactElement {
  const { alert } = useSearch({ strict: false })
  return alert === undefined ? <AllAlerts /> : <OneAlert id={alert} />
}

function OneAlert({ id }: { readonly id: string }): ReactElement {
  const alerts = useRead<AlertsData>(`alerts?id=${encodeURIComponent(id)}`)
  return (
    <Page
      title={`Alert ${id}`}
      says={
        <Link to="/alerts" search={keepMoment}>
          All alerts
        </Link>
      }
      ways={waysOf.alerts()}
    >
      <Loaded of={alerts}>
        {(data) =>
          data.alerts.length === 0 ? (
            <Empty title="There is no such alert" commands={['lockstep alert list --state all']} />
          ) : (
            <AlertParts alerts={data.alerts} isOne />
          )
        }
      </Loaded>
    </Page>
  )
}

function AllAlerts(): ReactElement {
  const [cursor, setCursor] = useState<string | null>(null)
  const alerts = useRead<AlertsData>(cursor === null ? 'alerts' : `alerts?cursor=${cursor}`)
  return (
    <Page title="Alerts" says="What monitors found, each with its evidence and likely cause." ways={waysOf.alerts()}>
      <Loaded of={alerts}>
        {(data) => (
          <>
            <AlertParts alerts={data.alerts} />
            <Pages first={cursor === null} next={data.cursor} show={setCursor} what="alerts" />
          </>
        )}
      </Loaded>
    </Page>
  )
}

function AlertParts({ alerts, isOne = false }: { readonly alerts: readonly Alert[]; readonly isOne?: boolean }): ReactElement {
  const isPast = usePastMoment() !== undefined
  const firing = alerts.filter(({ state }) => state === 'firing')
  const past = alerts.filter(({ state }) => state !== 'firing')
  return (
    <>
      {firing.length === 0 && !isOne && (
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
            <Firing key={alert.id} alert={alert} />
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
                cell: ({ says, cause }) => (cause === null ? says : `${says}: ${cause}`),
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

function figureText({ value, n }: Alert['fired'], counted: string): string | null {
  if (value === null) return null
  return n === null || counted === '' ? formatNumber(value) : `${formatNumber(value)}, of ${formatNumber(n, 'count')} ${counted}`
}

function Firing({ alert }: { readonly alert: Alert }): ReactElement {
  const { id, monitor, check, subject, severity, silencedUntil, says, cause, runbook, startedAt, fired, newest, link, model, features } =
    alert
  const [measure, counted] = measures[check] ?? ['Measured', 'measurements']
  const tone = silencedUntil !== null ? 'plain' : severity === 'page' ? 'bad' : 'warn'
  return (
    <li className="problem" data-tone={tone}>
      <div className="problem-head">
        <Badge state={severity} tone={tone}>
          {silencedUntil !== null ? `Silenced until ${formatMoment(silencedUntil)}` : severity === 'page' ? 'Act now' : 'Look soon'}
        </Badge>
        <span className="dim">
          began <Moment at={startedAt} />
        </span>
        <span className="problem-acts">
          {silencedUntil === null ? (
            <Act
              name="Silence"
              title={`Silence ${monitor} for 2 hours`}
              path={`alerts/${id}/silence`}
              body={{ for: '2h' }}
              done="The alert is silent for 2 hours."
            >
              <p>Nobody is notified of “{says}” for 2 hours. The alert goes on and stays on this page.</p>
            </Act>
          ) : (
            <Act
              name="End the silence"
              title={`End the silence of ${monitor}`}
              path={`alerts/${id}/unsilence`}
              done="The alert notifies again."
            >
              <p>Channels are notified again of “{says}”.</p>
            </Act>
          )}
        </span>
      </div>
      <p className="problem-what">{link === null ? says : <ThingLink {...link}>{says}</ThingLink>}</p>
      <Labelled label="Likely cause">{cause}</Labelled>
      <Facts
        of={[
          ['Subject', subject],
          ['Monitor', monitor],
          ['Check', check],
          [`${measure}, when it fired`, figureText(fired, counted)],
          [`${measure}, newest`, newest === null ? null : figureText(newest, counted)],
          ['Threshold', fired.threshold === null ? null : formatNumber(fired.threshold)],
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
      <Command text={`lockstep alert show ${id}`} />
    </li>
  )
}
