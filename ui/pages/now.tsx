import { Alert, Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import type { NowData, Problem } from '../../serving/dashboard/contract/now.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { Command } from '../parts/command.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Figures } from '../parts/facts.tsx'
import { formatNumber, keepUnits } from '../parts/format.ts'
import { Labelled } from '../parts/labelled.tsx'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { SeverityBadge, severityTones } from '../parts/severity-badge.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { Icon } from '../shell/icon.tsx'
import { keepMoment } from '../shell/navigation.tsx'

/** What is wrong, since when, by what cause, and what to do. */
export default function Now(): ReactElement {
  const now = useRead<NowData>('now', { everyMs: readEveryMs.now })
  return (
    <Page title="Now">
      <Loaded of={now}>{(data) => <NowParts data={data} />}</Loaded>
    </Page>
  )
}

/** So many problems are shown at first, the worst ones. What stands below them must stay in reach. */
const maxProblems = 10

function NowParts({ data }: { readonly data: NowData }): ReactElement {
  const { headline, isWell, problems, models, views, jobs, alerts } = data
  const isPast = usePastMoment() !== undefined
  const model = useOwnNames().model ?? 'delay'
  const [shown, show] = useState(maxProblems)
  return (
    <>
      <Alert
        className="headline"
        role="status"
        data-tone={isWell ? 'good' : problems.some(({ severity }) => severity === 'page') ? 'bad' : 'warn'}
        icon={<Icon name={isWell ? 'good' : 'warn'} size={22} />}
      >
        {keepUnits(headline)}
      </Alert>
      {problems.length > 0 && (
        <ol className="problems" aria-label="Problems, the worst first">
          {problems.slice(0, shown).map((problem) => (
            <ProblemItem key={problem.id} problem={problem} />
          ))}
        </ol>
      )}
      {problems.length > shown && (
        <Button variant="default" size="compact-sm" className="more-problems" onClick={() => show(problems.length)}>
          Show {problems.length - shown} more
        </Button>
      )}
      <Figures
        of={[
          {
            name: 'Alerts firing',
            value: (
              <Link to="/alerts" search={keepMoment}>
                {formatNumber(alerts.firing, 'count')}
              </Link>
            ),
            note: alerts.silenced > 0 ? `${alerts.silenced} silenced` : null,
            ...(alerts.firing > 0 ? { tone: 'bad' as const } : {}),
          },
          {
            name: 'Views online',
            value: formatNumber(views?.online, 'count'),
            note: views === null ? 'not recorded' : viewsNote(views),
          },
          {
            name: 'Jobs running',
            value:
              jobs.running === null ? (
                '–'
              ) : (
                <Link to="/jobs" search={(before: { asOf?: string }) => ({ ...keepMoment(before), state: 'running' })}>
                  {formatNumber(jobs.running, 'count')}
                </Link>
              ),
            note: jobs.running === null ? 'not recorded' : jobs.failed > 0 ? `${jobs.failed} failed in a day` : 'none failed in a day',
          },
        ]}
      />
      <div className="grid-2">
        <Panel title="Requests" ways={waysOf.traffic()}>
          <Chart chart={data.traffic} label="Requests" />
        </Panel>
        <Panel title="Response times" ways={waysOf.times()}>
          <Chart chart={data.latency} label="Response times" />
        </Panel>
      </div>
      <Panel title="Models" says={data.modelsSay} flush ways={waysOf.models()}>
        <DataTable
          label="Models and what they answered lately"
          rows={models}
          rowKey={({ name }) => name}
          empty={
            <Empty
              title={isPast ? 'No model answered' : 'No model answers yet'}
              commands={[
                `lockstep model push ${shellText(model)} ${shellText(`${model}.onnx`)}`,
                `lockstep model promote ${shellText(`${model}@1`)} --reason "first version"`,
              ]}
            >
              Push a model and promote it.
            </Empty>
          }
          columns={[
            { name: 'Model', cell: ({ name }) => <ThingLink kind="model" id={name} />, by: ({ name }) => name },
            {
              name: 'Champion',
              cell: ({ champion, pinned }) => (
                <>
                  {champion !== null ? `version ${champion}` : pinned === null ? 'none: the newest answers' : 'none'}
                  {pinned !== null && (
                    <div className="dim small">
                      version {pinned} {isPast ? 'was' : 'is'} pinned
                    </div>
                  )}
                </>
              ),
            },
            { name: 'Requests', numeric: true, cell: ({ requests }) => formatNumber(requests, 'count'), by: ({ requests }) => requests },
            {
              name: 'Errors',
              numeric: true,
              cell: ({ errors }) => (errors === 0 ? '0' : <StateBadge state={formatNumber(errors, 'count')} tone="bad" />),
              by: ({ errors }) => errors,
            },
            { name: 'p99', numeric: true, cell: ({ p99Ms }) => formatNumber(p99Ms, 'ms'), by: ({ p99Ms }) => p99Ms },
            {
              name: 'In progress',
              wide: true,
              cell: ({ name, pinned, rollout, experiment }) => (
                <span className="row">
                  {rollout !== null && (
                    <ThingLink kind="rollout" id={name}>
                      Rollout of version {rollout.version} at {formatNumber(rollout.share, 'share')}
                      {pinned !== null && ' without the pin'}
                      {rollout.paused ? ', paused' : ''}
                    </ThingLink>
                  )}
                  {experiment !== null && (
                    <ThingLink kind="experiment" id={experiment}>
                      Experiment {experiment}
                    </ThingLink>
                  )}
                  {rollout === null && experiment === null && <span className="dim">nothing</span>}
                </span>
              ),
            },
          ]}
        />
      </Panel>
    </>
  )
}

function viewsNote({ late, incomplete }: NonNullable<NowData['views']>): string {
  if (late + incomplete === 0) return 'none late'
  return [late > 0 ? `${late} late` : null, incomplete > 0 ? `${incomplete} incomplete` : null].filter((part) => part !== null).join(', ')
}

function ProblemItem({ problem }: { readonly problem: NowData['problems'][number] }): ReactElement {
  const { severity, what, since, cause, todo, link, about, command, consequences } = problem
  const isPast = usePastMoment() !== undefined
  return (
    <li className="problem" data-tone={severityTones[severity]}>
      <div className="problem-head">
        <SeverityBadge severity={severity} />
        {since !== null && (
          <span className="dim">
            began <Moment at={since} />
          </span>
        )}
        {about !== null && (
          <span className="dim">
            about <ThingLink {...about} />
          </span>
        )}
      </div>
      <p className="problem-what">
        <ThingLink kind={link.kind} id={link.id}>
          {what}
        </ThingLink>
      </p>
      <Labelled label="Likely cause">{cause}</Labelled>
      {consequences.length > 0 && <Consequences of={consequences} since={since} />}
      {!isPast && <Labelled label="What to do">{todo ?? (command === null ? null : 'run this command')}</Labelled>}
      {command !== null && !isPast && <Command text={command} />}
    </li>
  )
}

/** So many consequences of one cause are listed. */
const maxListed = 8

/** What follows from a cause can have been seen before the cause was. */
function Consequences({ of, since }: { readonly of: readonly Problem[]; readonly since: string | null }): ReactElement {
  const { earlier = [], later = [] } = Object.groupBy(of, (each) => (isBefore(each.since, since) ? 'earlier' : 'later'))
  return (
    <>
      <ConsequenceList label="What likely follows from it" of={later} />
      <ConsequenceList label="Seen before it, and likely of the same cause" of={earlier} />
    </>
  )
}

function isBefore(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && Date.parse(one) < Date.parse(other)
}

function ConsequenceList({ label, of }: { readonly label: string; readonly of: readonly Problem[] }): ReactElement | null {
  const more = of.length - maxListed
  if (of.length === 0) return null
  return (
    <div>
      <span className="dim">{label}:</span>
      <ul className="consequences">
        {of.slice(0, maxListed).map(({ what, since, link }) => (
          <li key={`${link.kind} ${link.id} ${what}`}>
            <ThingLink kind={link.kind} id={link.id}>
              {what}
            </ThingLink>
            {since !== null && (
              <span className="dim">
                , began <Moment at={since} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {more > 0 && <p className="dim">and {more} more</p>}
    </div>
  )
}
