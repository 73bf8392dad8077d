import { Progress } from '@mantine/core'
import { Link, useSearch } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import type { JobsData } from '../../serving/dashboard/contract/jobs.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { formatDuration, formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepMoment } from '../shell/navigation.tsx'

type Job = JobsData['jobs'][number]

/** Work that workers share, with its progress. One job, if the address names it. */
export default function Jobs(): ReactElement {
  const { job: asked } = useSearch({ strict: false })
  const [cursor, setCursor] = useState<string | null>(null)
  const { view } = useOwnNames()
  const query = asked === undefined ? (cursor === null ? '' : `?cursor=${cursor}`) : `?id=${encodeURIComponent(asked)}`
  const jobs = useRead<JobsData>(`jobs${query}`, { everyMs: readEveryMs.jobs })
  return (
    <Page
      title={asked === undefined ? 'Jobs' : `Job ${asked}`}
      says={
        asked === undefined ? (
          'Backfills, exports, batch inference, trainings, scheduled runs and monitors. Workers share them.'
        ) : (
          <Link to="/jobs" search={keepMoment}>
            All jobs
          </Link>
        )
      }
    >
      <Loaded of={jobs}>
        {(data) => (
          <Panel title={asked === undefined ? 'Running first, then the newest' : 'The job'} flush ways={waysOf.jobs()}>
            <DataTable
              label="Jobs, running ones first"
              rows={data.jobs}
              rowKey={({ id }) => id}
              empty={
                asked === undefined ? (
                  <Empty title="No job has run yet" commands={[`lockstep backfill ${shellText(view)}`, 'lockstep worker']}>
                    A command submits the work, and workers do it.
                  </Empty>
                ) : (
                  <Empty title="There is no such job" commands={['lockstep job list']} />
                )
              }
              columns={[
                {
                  name: 'Job',
                  wide: true,
                  by: ({ kind, subject }) => `${kind} ${subject}`,
                  cell: ({ id, kind, subject, error }) => (
                    <>
                      <strong>{kind}</strong> {kind === subject ? '' : subject}
                      <div className="small">
                        {asked === undefined ? (
                          <ThingLink kind="job" id={id}>
                            job {id}
                          </ThingLink>
                        ) : null}
                      </div>
                      {error !== null && <div className="bad-text">{error}</div>}
                    </>
                  ),
                },
                { name: 'State', by: ({ state }) => state, cell: ({ state }) => <StateBadge state={state} /> },
                { name: 'Progress', cell: (job) => <JobProgress job={job} /> },
                { name: 'By', by: ({ submittedBy }) => submittedBy, cell: ({ submittedBy }) => submittedBy },
                { name: 'Submitted', by: ({ submittedAt }) => submittedAt, cell: ({ submittedAt }) => <Moment at={submittedAt} /> },
                { name: 'Ended', by: ({ finishedAt }) => finishedAt, cell: ({ finishedAt }) => <Moment at={finishedAt} /> },
                {
                  name: 'Act',
                  acts: 'ui:operate',
                  cell: ({ id, kind, subject, canCancel, canRetry, revision, chunks, chunksDone, error }) =>
                    canCancel ? (
                      <Act
                        name="Cancel"
                        title={`Cancel ${kind} ${subject}`}
                        path={`jobs/${id}/cancel`}
                        ifMatch={revision}
                        danger
                        done="The job ends once its workers have noticed."
                      >
                        <p>
                          {chunksDone} of {chunks ?? 'unknown'} steps are done and stay. The others are not started any more.
                        </p>
                      </Act>
                    ) : canRetry ? (
                      <Act
                        name="Retry"
                        title={`Retry ${kind} ${subject}`}
                        path={`jobs/${id}/retry`}
                        ifMatch={revision}
                        done="Workers begin the job again."
                      >
                        <p>
                          The job is planned again, and all of its steps are done again.
                          {error !== null && ` It ended with: ${error}`}
                        </p>
                      </Act>
                    ) : null,
                },
              ]}
            />
            <Pages first={cursor === null || asked !== undefined} next={data.cursor} show={setCursor} what="jobs" />
          </Panel>
        )}
      </Loaded>
    </Page>
  )
}

function JobProgress({
  job: { chunks, chunksDone, workers, secondsLeft, doing, state, kind, subject },
}: {
  readonly job: Job
}): ReactElement {
  if (chunks === null || chunks === 0) return <span className="dim">–</span>
  const left = state !== 'running' ? null : secondsLeft === null ? 'started' : `${formatDuration(secondsLeft)} left`
  return (
    <div className="job-progress">
      <Progress.Root size="sm">
        <Progress.Section
          value={(chunksDone / chunks) * 100}
          aria-label={`Progress of ${kind} ${subject}`}
          aria-valuetext={`${chunksDone} of ${chunks} steps`}
        />
      </Progress.Root>
      <span className="dim small">
        {[
          `${formatNumber(chunksDone, 'count')} of ${formatNumber(chunks, 'count')} ${chunks === 1 ? 'step' : 'steps'}`,
          left,
          doing,
          workers > 0 ? `${workers} ${workers === 1 ? 'worker' : 'workers'}` : null,
        ]
          .filter(Boolean)
          .join(', ')}
      </span>
    </div>
  )
}
