import { useParams } from '@tanstack/react-router'
import type { ReactElement } from 'react'
import type { PipelineData } from '../../serving/dashboard/contract/pipelines.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Act } from '../parts/act.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { Chart } from '../parts/chart.tsx'
import { Facts, Figures } from '../parts/facts.tsx'
import { formatDuration, formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'
import { DeadLetters } from './dead-letters.tsx'
import { ConnectionLinks } from './definition.tsx'

/** One pipeline: what it promises, how far it is behind, and what it could not answer. */
export default function PipelinePage(): ReactElement {
  const { id = '' } = useParams({ strict: false })
  const pipeline = useRead<PipelineData>(`pipelines/${encodeURIComponent(id)}`, { everyMs: readEveryMs.now })
  const data = pipeline.data?.data
  return (
    <Page
      title={data?.pipeline.name ?? id}
      kind="Pipeline"
      state={data === undefined ? undefined : <StateBadge state={data.pipeline.state} />}
      says={data?.pipeline.says}
      actions={
        <>
          <ConnectionLinks kind="pipeline" id={data?.pipeline.name ?? id} />
          {data !== undefined && <Acts data={data} />}
        </>
      }
    >
      <Loaded of={pipeline}>{(loaded) => <PipelineParts data={loaded} />}</Loaded>
    </Page>
  )
}

function Acts({ data: { pipeline, revision } }: { readonly data: PipelineData }): ReactElement {
  const { name, state, says, waiting, writesTo } = pipeline
  const path = `pipelines/${encodeURIComponent(name)}`
  return (
    <>
      {state === 'paused' ? (
        <Act
          name="Resume"
          title={`Resume the pipeline ${name}`}
          path={`${path}/resume`}
          ifMatch={revision}
          done="Workers go on within seconds."
        >
          <p>Workers go on with the messages that wait.</p>
        </Act>
      ) : (
        <Act name="Pause" title={`Pause the pipeline ${name}`} path={`${path}/pause`} ifMatch={revision} done="The pipeline is paused.">
          <p>
            Workers finish what they have taken and stop within seconds. Messages stay in their stream.
            {waiting !== null && ` ${formatNumber(waiting, 'count')} wait now.`} {says}
          </p>
        </Act>
      )}
      <Act
        name="Replay"
        title={`Replay the pipeline ${name}`}
        path={`${path}/replay`}
        ifMatch={revision}
        danger
        field={{
          name: 'from',
          label: 'From',
          description: 'The first message that arrived at this time or later, such as 2026-03-01T12:00:00Z.',
        }}
        done="The pipeline begins again from there."
      >
        <p>
          Workers read the messages since then again. The present model predicts them, and the answers are written again to {writesTo}, with
          the ids that they had. Events count once.
        </p>
      </Act>
    </>
  )
}

function PipelineParts({ data }: { readonly data: PipelineData }): ReactElement {
  const { pipeline, group, guarantee, ledger, replays, replayedAt, replayedFrom, throughput, lag, age, dead, sourceDead } = data
  const { name, source, model, version, reads, writesTo, workers, waiting, pending, perSecond, oldestSeconds, lastError } = pipeline
  const ways = waysOf.pipeline(name)
  return (
    <>
      <Figures
        of={[
          { name: 'Workers', value: formatNumber(workers, 'count'), note: 'processes that run it' },
          { name: 'Rate', value: formatNumber(perSecond, 'perSecond'), note: 'over 5 minutes' },
          {
            name: 'Waiting',
            value: formatNumber(waiting, 'count'),
            note: pending === null ? 'no worker says' : `and ${formatNumber(pending, 'count')} given to workers`,
          },
          {
            name: 'Oldest message',
            value: workers === 0 || oldestSeconds === 0 ? '–' : formatDuration(oldestSeconds),
            note: 'that is being worked on',
          },
        ]}
      />
      <Panel title="What it does" says={guarantee} ways={ways}>
        <Facts
          of={[
            ['Reads', reads === null ? 'nothing: its source has no stream any more' : reads],
            ['Source', <ThingLink key="source" kind="source" id={source} />],
            [
              'Model',
              <span key="model">
                <ThingLink kind="model" id={model} />
                {version === null ? ', routed as requests are' : `@${version}`}
              </span>,
            ],
            ['Writes to', writesTo],
            ['Consumer group', group],
            ['Ledger', ledger ? 'Answers are kept for 30 days: a repeated message gets the same answer.' : null],
            [
              'Replayed',
              replayedAt === null ? null : (
                <span key="replayed">
                  from {replayedFrom}, <Moment at={replayedAt} /> ({replays} in all)
                </span>
              ),
            ],
            [
              'Last error',
              lastError === null ? null : (
                <span key="error" className="break">
                  <Moment at={lastError.at} />: {lastError.text}
                </span>
              ),
            ],
          ]}
        />
      </Panel>
      <Panel title="Throughput" ways={ways}>
        <Chart chart={throughput} label={`Throughput of ${name}`} />
      </Panel>
      <div className="grid-2">
        <Panel title="Messages that wait" ways={ways}>
          <Chart chart={lag} label={`Lag of ${name}`} height={150} />
        </Panel>
        <Panel title="Age of the oldest message" ways={ways}>
          <Chart chart={age} label={`Age of messages of ${name}`} height={150} />
        </Panel>
      </div>
      <DeadLetters of="pipeline" name={name} dead={dead} says="Messages that cannot be answered. Correct the cause, and replay." />
      {sourceDead > 0 && (
        <Panel title="Dead letters of the source" ways={waysOf.deadLetters('source', source)}>
          <p>
            {formatNumber(sourceDead, 'count')} {sourceDead === 1 ? 'message' : 'messages'} of the source{' '}
            <ThingLink kind="source" id={source} /> cannot be read as events. The pipeline does not answer them. Correct the cause, and
            replay.
          </p>
        </Panel>
      )}
    </>
  )
}
