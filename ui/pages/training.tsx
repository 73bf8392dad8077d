import { Link, useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { TrainingData, TrainingRun } from '../../serving/dashboard/contract/trainings.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useIndex } from '../api/use-index.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { Facts } from '../parts/facts.tsx'
import { formatNumber } from '../parts/format.ts'
import { metricsText } from '../parts/metrics-text.ts'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { keepMoment } from '../shell/navigation.tsx'
import { ConnectionLinks } from './definition.tsx'

/** One training: what it does, what its last run did, and the runs before. */
export default function TrainingPage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const training = useRead<TrainingData>(`trainings/${encodeURIComponent(id)}`, { everyMs: readEveryMs.jobs })
  const data = training.data?.data.training
  return (
    <Page
      title={data?.name ?? id}
      kind="Training"
      state={data === undefined || data.last === null ? undefined : <StateBadge state={data.last.state} />}
      says={data?.description ?? undefined}
      actions={<ConnectionLinks kind="training" id={data?.name ?? id} />}
    >
      <Loaded of={training}>{(loaded) => <TrainingParts data={loaded} />}</Loaded>
    </Page>
  )
}

function TrainingParts({ data }: { readonly data: TrainingData }): ReactElement {
  const { training, label, requires, deploys, window, test, mature, parameters, runs } = data
  const { name, model, trainer, schedule, next, last } = training
  const ways = waysOf.training(name)
  return (
    <>
      {last !== null && <LastRun run={last} model={model} ways={ways} />}
      {last !== null && last.evaluation !== null && <Evaluated evaluation={last.evaluation} name={name} ways={ways} />}
      <Panel title="What it does" ways={ways}>
        <Facts
          of={[
            ['Model', <ThingLink key="model" kind="model" id={model} />],
            ['Trainer', trainer],
            ['Label', label],
            ['Rows', `${window}, of which the last ${test} are the test${mature === null ? '' : `, until ${mature} before the run`}`],
            ['Requires', requires.length === 0 ? null : requires.join('; ')],
            ['A run', deploys],
            ['Parameters', parameters],
            ['Schedule', schedule === null ? 'It runs when asked to.' : `${schedule} (UTC)`],
            ['Next run', next === null ? null : <Moment key="next" at={next} />],
          ]}
        />
      </Panel>
      <Panel title="Runs" flush ways={ways}>
        <DataTable
          label={`Runs of ${name}`}
          rows={runs}
          rowKey={({ job }) => job}
          empty={
            <Empty title="It has not run yet" commands={[`lockstep training run ${name}`]}>
              A worker runs it that has its trainer.
            </Empty>
          }
          columns={[
            {
              name: 'Run',
              wide: true,
              by: ({ job }) => Number(job),
              cell: ({ job, says, submittedBy }) => (
                <>
                  <ThingLink kind="job" id={job}>
                    job {job}
                  </ThingLink>
                  <div className="dim small">by {submittedBy}</div>
                  {says !== null && <div className="small break">{says}</div>}
                </>
              ),
            },
            { name: 'State', by: ({ state }) => state, cell: ({ state }) => <StateBadge state={state} /> },
            { name: 'Instant', by: ({ at }) => at, cell: ({ at }) => <Moment at={at} /> },
            {
              name: 'Train',
              numeric: true,
              by: ({ rows }) => rows?.train ?? null,
              cell: ({ rows }) => formatNumber(rows?.train ?? null, 'count'),
            },
            {
              name: 'Test',
              numeric: true,
              by: ({ rows }) => rows?.test ?? null,
              cell: ({ rows }) => formatNumber(rows?.test ?? null, 'count'),
            },
            { name: 'Version', numeric: true, by: ({ version }) => version, cell: ({ version }) => version ?? '–' },
            { name: 'Metrics', wide: true, cell: ({ metrics }) => <span className="break">{metricsText(metrics)}</span> },
            { name: 'Took', numeric: true, by: secondsOf, cell: (run) => formatNumber(secondsOf(run), 'seconds') },
          ]}
        />
      </Panel>
    </>
  )
}

/** null: it has not ended. */
function secondsOf({ submittedAt, finishedAt }: TrainingRun): number | null {
  return finishedAt === null ? null : (Date.parse(finishedAt) - Date.parse(submittedAt)) / 1000
}

interface LastRunProps {
  readonly run: TrainingRun
  readonly model: string
  readonly ways: ReturnType<typeof waysOf.training>
}

const verdictTones = { better: 'good', worse: 'bad', unclear: 'plain' } as const

/** The figures of what the run made beside those of the champion, on the same rows. */
function Evaluated({ evaluation, name, ways }: EvaluatedProps): ReactElement {
  const { output, rows, champion, figures, notes } = evaluation
  const says = `${output === null ? 'No output' : `The output ${output}`}, on ${formatNumber(rows, 'count')} test rows, as a server runs it. Limits are those of 95 % intervals.`
  return (
    <Panel title="Figures of the last run" says={says} flush ways={ways}>
      <DataTable
        label={`Figures of the last run of ${name}`}
        rows={figures}
        rowKey={({ title }) => title}
        empty={<p className="dim">No figure has a value.</p>}
        columns={[
          { name: 'Figure', by: ({ title }) => title, cell: ({ title }) => title },
          { name: 'Candidate', cell: ({ candidate }) => figureText(candidate) },
          { name: champion === null ? 'No champion' : `Champion @${champion}`, cell: ({ champion: figure }) => figureText(figure) },
          {
            name: 'Difference',
            cell: ({ difference }) => (
              <span className="row">
                {figureText(difference)}
                {difference !== null && <StateBadge state={difference.verdict} tone={verdictTones[difference.verdict]} />}
              </span>
            ),
          },
        ]}
      />
      {notes.length > 0 && (
        <div className="panel-body notes dim small">
          {notes.map((note) => (
            <p key={note}>{note}</p>
          ))}
        </div>
      )}
    </Panel>
  )
}

interface EvaluatedProps {
  readonly evaluation: NonNullable<TrainingRun['evaluation']>
  readonly name: string
  readonly ways: ReturnType<typeof waysOf.training>
}

type Measured = NonNullable<TrainingRun['evaluation']>['figures'][number]['champion']

/** `0.83 (0.81 to 0.85)` */
function figureText(figure: Measured): string {
  if (figure === null) return '–'
  const [value, low, high] = [figure.value, figure.low, figure.high].map((each) =>
    each === null ? null : String(Number(each.toPrecision(3))),
  )
  return low === null || high === null ? `${value}` : `${value} (${low} to ${high})`
}

function LastRun({ run, model, ways }: LastRunProps): ReactElement {
  const { job, state, says, from, split, to, dataset, rows, version, metrics, decisions, deployed, rollout, log } = run
  const { entries = [] } = useIndex()
  // a training set may be deleted
  const isKept = entries.some(({ kind, id }) => kind === 'dataset' && id === dataset)
  return (
    <Panel title="Last run" says={says ?? undefined} ways={ways}>
      <Facts
        of={[
          [
            'State',
            <span key="state">
              <StateBadge state={state} />{' '}
              <ThingLink kind="job" id={job}>
                job {job}
              </ThingLink>
            </span>,
          ],
          [
            'Rows',
            rows === null ? null : `${formatNumber(rows.train, 'count')} to train on, ${formatNumber(rows.test, 'count')} to test on`,
          ],
          [
            'Interval',
            from === null || split === null || to === null ? null : (
              <span key="interval">
                <Moment at={from} exact /> to <Moment at={to} exact />, the test from <Moment at={split} exact /> on
              </span>
            ),
          ],
          ['Training set', isKept && dataset !== null ? <ThingLink key="dataset" kind="dataset" id={dataset} /> : dataset],
          ['Metrics', metrics.length === 0 ? null : metricsText(metrics)],
          [
            'Requirements',
            decisions.length === 0 ? null : (
              <span key="decisions">
                {decisions.map(({ holds, text }) => (
                  <div key={text}>
                    <StateBadge state={holds ? 'met' : 'not met'} tone={holds ? 'good' : 'bad'} /> {text}
                  </div>
                ))}
              </span>
            ),
          ],
          [
            'Version',
            version === null ? null : (
              <span key="version">
                <ThingLink kind="model" id={model} />@{version}
                {deployed === null ? '' : `: ${deployed}`}
              </span>
            ),
          ],
          [
            'Rollout',
            rollout === null ? null : (
              <Link
                key="rollout"
                to="/rollouts/$id"
                params={{ id: model }}
                search={(before: { asOf?: string }) => ({ ...keepMoment(before), rollout })}
              >
                version {version}
              </Link>
            ),
          ],
        ]}
      />
      {log !== '' && (
        <>
          <h3 className="log-title">The end of the trainer's log</h3>
          <pre className="code mono" tabIndex={0} aria-label="The end of what the trainer wrote">
            {log}
          </pre>
        </>
      )}
    </Panel>
  )
}
