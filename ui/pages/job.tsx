import { EmptyState, Progress } from '@mantine/core'
import { Link, useSearch } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { JobsData } from '../../serving/dashboard/contract/jobs.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatDuration, formatNumber } from '../parts/format.ts'
import { Moment, usePastMoment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepFilter } from '../shell/navigation.tsx'

type Job = JobsData['jobs'][number]

/** One job: how far it is, and its steps. */
export function OneJob({ id }: { readonly id: string }): ReactElement {
  const { kind, state, q } = useSearch({ strict: false })
  const jobs = useRead<JobsData>(`jobs?id=${encodeURIComponent(id)}`, { everyMs: readEveryMs.jobs })
  const isPast = usePastMoment() !== undefined
  const [job] = jobs.data?.data.jobs ?? []
  return (
    <Page
      title={`Job ${id}`}
      state={job === undefined ? undefined : <StateBadge state={job.state} />}
      says={
        <Link to="/jobs" search={keepFilter}>
          {kind === undefined && state === undefined && q === undefined ? 'All jobs' : 'The filtered jobs'}
        </Link>
      }
      actions={job === undefined ? undefined : <JobActs job={job} />}
    >
      <Loaded of={jobs}>
        {({ jobs: [found], steps }) =>
          found === undefined ? (
            <Empty title={isPast ? 'This job had not been submitted' : 'There is no such job'} commands={['lockstep job list']} />
          ) : (
            <>
              <JobFacts job={found} />
              {steps !== null && <Steps of={steps} job={found} />}
            </>
          )
        }
      </Loaded>
    </Page>
  )
}

function JobFacts({ job }: { readonly job: Job }): ReactElement {
  const { id, kind, subject, link, made, error, totals, workers, moment, submittedBy, submittedAt, finishedAt } = job
  const took = finishedAt === null ? null : secondsOf(submittedAt, finishedAt)
  return (
    <Panel title="The job" ways={waysOf.job(id)}>
      {error !== null && <p className="bad-text break">{error}</p>}
      <Facts
        of={[
          ['Kind', kind],
          ['About', link === null ? subject : <ThingLink {...link}>{subject}</ThingLink>],
          [
            'Registered',
            made === null ? null : (
              <span key="made">
                <ThingLink kind="model" id={made.model} />@{made.version}
              </span>
            ),
          ],
          ['Progress', <JobProgress key="progress" job={job} />],
          [
            finishedAt === null ? 'So far' : 'In all',
            // that of a training is the version, which is above
            totals.length === 0 || made !== null
              ? null
              : totals.map(({ name, total }) => `${total.toLocaleString('en-US')} ${wordsOf(name)}`).join(', '),
          ],
          ['At work', workers.length === 0 ? null : [...new Set(workers)].join(', ')],
          ['Instant of its schedule', moment === null ? null : <Moment key="moment" at={moment} exact />],
          ['Submitted by', submittedBy],
          ['Submitted', <Moment key="submitted" at={submittedAt} exact />],
          ['Ended', finishedAt === null ? null : <Moment key="ended" at={finishedAt} exact />],
          ['Took', took === null ? null : formatNumber(took, 'seconds')],
        ]}
      />
    </Panel>
  )
}

export function secondsOf(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / 1000
}

/** `rowsWritten` as words. */
function wordsOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

type Step = NonNullable<JobsData['steps']>[number]

/** How many steps a server lists. */
const listed = 100

function Steps({ of, job: { id, workers } }: { readonly of: readonly Step[]; readonly job: Job }): ReactElement {
  const says = [
    of.length < listed ? null : `Those at work first, then those that wait; ${listed} in all.`,
    workers.length === 0 && of.some(({ state }) => state === 'open') ? 'No worker has a step now.' : null,
  ].filter((text) => text !== null)
  return (
    <Panel title="Steps" flush ways={waysOf.job(id)} says={says.length === 0 ? undefined : says.join(' ')}>
      <DataTable
        label={`Steps of job ${id}`}
        rows={of}
        rowKey={({ step, number }) => `${step} ${number}`}
        empty={<EmptyState description="Its steps are no longer kept." />}
        columns={[
          { name: 'Step', by: nameOf, cell: nameOf },
          { name: 'State', by: stateOf, cell: (step) => <StateBadge state={stateOf(step)} /> },
          { name: 'Attempts', numeric: true, by: ({ attempts }) => attempts, cell: ({ attempts }) => formatNumber(attempts, 'count') },
          { name: 'Worker', by: ({ worker }) => worker, cell: ({ worker }) => <span className="break">{worker ?? '–'}</span> },
          {
            name: 'Next attempt',
            by: ({ claimableAt }) => claimableAt,
            cell: ({ claimableAt }) =>
              claimableAt === null ? (
                <span className="dim">–</span>
              ) : isDue(claimableAt) ? (
                'as soon as a worker is free'
              ) : (
                <Moment at={claimableAt} />
              ),
          },
          { name: 'Last error', wide: true, cell: ({ error }) => <span className="break">{error?.message ?? '–'}</span> },
        ]}
      />
    </Panel>
  )
}

function isDue(moment: string): boolean {
  return Date.parse(moment) <= Date.now()
}

function nameOf({ step, number }: Step): string {
  return step === 'chunk' ? `chunk ${number}` : step
}

/** In the words of `lockstep job show`. */
function stateOf({ state, atWork, progress }: Step): string {
  if (atWork) return progress === null ? 'at work' : `at work, ${formatNumber(progress, 'share')}`
  return state === 'open' ? 'waits' : state
}

/** What may be done about a job. */
export function JobActs({ job }: { readonly job: Job }): ReactElement | null {
  const { id, kind, subject, canCancel, canRetry, revision, chunks, chunksDone, error } = job
  if (canCancel)
    return (
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
    )
  if (!canRetry) return null
  return (
    <Act name="Retry" title={`Retry ${kind} ${subject}`} path={`jobs/${id}/retry`} ifMatch={revision} done="Workers begin the job again.">
      <p>
        The job is planned again, and all of its steps are done again.
        {error !== null && ` It ended with: ${error}`}
      </p>
    </Act>
  )
}

/** How far a job is, in steps, and what its workers are at. */
export function JobProgress({ job }: { readonly job: Job }): ReactElement {
  const { chunks, chunksDone, workers, doing, secondsLeft, state, kind, subject } = job
  const at = doing === null ? null : <span className="small">{doing}</span>
  if (chunks === null || chunks === 0) return at ?? <span className="dim">–</span>
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
          workers.length > 0 ? `${workers.length} ${workers.length === 1 ? 'worker' : 'workers'}` : null,
        ]
          .filter(Boolean)
          .join(', ')}
      </span>
      {at}
    </div>
  )
}
