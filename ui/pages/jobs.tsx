import { useSearch } from '@tanstack/react-router'
import { type ReactElement, useState } from 'react'
import type { JobsData } from '../../serving/dashboard/contract/jobs.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { FilterChoice, FilterText } from '../parts/filters.tsx'
import { formatDuration } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { useOwnNames } from '../parts/own-names.ts'
import { Page } from '../parts/page.tsx'
import { Pages } from '../parts/pages.tsx'
import { Panel } from '../parts/panel.tsx'
import { shellText } from '../parts/shell-text.ts'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { JobActs, JobProgress, OneJob, secondsOf } from './job.tsx'

/** Work that workers share, with its progress. One job, if the address names it. */
export default function Jobs(): ReactElement {
  const { job } = useSearch({ strict: false })
  return job === undefined ? <AllJobs /> : <OneJob id={job} />
}

function AllJobs(): ReactElement {
  const { kind, state, q } = useSearch({ strict: false })
  const asked = new URLSearchParams(
    Object.entries({ kind, state, q }).filter((pair): pair is [string, string] => pair[1] !== undefined),
  ).toString()
  // a place is one of the list that was asked for
  const [place, setPlace] = useState({ asked, cursor: null as string | null })
  const cursor = place.asked === asked ? place.cursor : null
  const { view } = useOwnNames()
  const query = [asked, cursor === null ? '' : `cursor=${cursor}`].filter(Boolean).join('&')
  const jobs = useRead<JobsData>(query === '' ? 'jobs' : `jobs?${query}`, { everyMs: readEveryMs.jobs })
  const { kinds = [], states = [] } = jobs.data?.data ?? {}
  return (
    <Page title="Jobs" says="Backfills, exports, batch inference, trainings, scheduled runs and monitors. Workers share them.">
      <div className="list-filters">
        <FilterText word="q" label="Filter by subject, submitter or error" />
        <FilterChoice word="kind" label="Kind" all="All kinds" choices={kinds} />
        <FilterChoice word="state" label="State" all="All states" choices={states} />
      </div>
      <Loaded of={jobs}>
        {(data) => (
          <Panel title="Running first, then the newest" flush ways={waysOf.jobs({ kind, state })}>
            <DataTable
              label="Jobs, running ones first"
              rows={data.jobs}
              rowKey={({ id }) => id}
              empty={
                asked === '' ? (
                  <Empty title="No job has run yet" commands={[`lockstep backfill ${shellText(view)}`, 'lockstep worker']}>
                    A command submits the work, and workers do it.
                  </Empty>
                ) : (
                  <Empty title="No job is of this kind, state and text" />
                )
              }
              columns={[
                {
                  name: 'Job',
                  wide: true,
                  by: ({ kind: name, subject }) => `${name} ${subject}`,
                  cell: ({ id, kind: name, subject, link, error }) => (
                    <>
                      <strong>{name}</strong> {link !== null ? <ThingLink {...link}>{subject}</ThingLink> : name === subject ? '' : subject}
                      <div className="small">
                        <ThingLink kind="job" id={id}>
                          job {id}
                        </ThingLink>
                      </div>
                      {error !== null && <div className="bad-text three-lines">{error}</div>}
                    </>
                  ),
                },
                { name: 'State', by: (job) => job.state, cell: (job) => <StateBadge state={job.state} /> },
                { name: 'Progress', cell: (job) => <JobProgress job={job} /> },
                { name: 'By', by: ({ submittedBy }) => submittedBy, cell: ({ submittedBy }) => submittedBy },
                { name: 'Submitted', by: ({ submittedAt }) => submittedAt, cell: ({ submittedAt }) => <Moment at={submittedAt} /> },
                {
                  name: 'Ended',
                  by: ({ finishedAt }) => finishedAt,
                  cell: ({ submittedAt, finishedAt }) => (
                    <>
                      <Moment at={finishedAt} />
                      {finishedAt !== null && <div className="dim small">took {formatDuration(secondsOf(submittedAt, finishedAt))}</div>}
                    </>
                  ),
                },
                { name: 'Act', acts: 'ui:operate', cell: (job) => <JobActs job={job} /> },
              ]}
            />
            <Pages first={cursor === null} next={data.cursor} show={(to) => setPlace({ asked, cursor: to })} what="jobs" />
          </Panel>
        )}
      </Loaded>
    </Page>
  )
}
