import type { ReactElement } from 'react'
import type { PipelinesData } from '../../serving/dashboard/contract/pipelines.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { formatDuration, formatNumber } from '../parts/format.ts'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'

/** All pipelines: what each reads and writes, and how far it is behind. */
export default function Pipelines(): ReactElement {
  const pipelines = useRead<PipelinesData>('pipelines', { everyMs: readEveryMs.now })
  return (
    <Page title="Pipelines" says="Each predicts the messages of a stream, and writes the answers to another stream.">
      <Loaded of={pipelines}>
        {(data) =>
          data.pipelines.length === 0 ? (
            <Empty title="There is no pipeline yet" commands={['lockstep apply features.ts', 'lockstep worker --only pipelines']}>
              A pipeline is a definition: pipeline('score', {'{ from: source, model, to: kafkaSink(…) }'}). Workers run it.
            </Empty>
          ) : (
            <PipelineTable pipelines={data.pipelines} />
          )
        }
      </Loaded>
    </Page>
  )
}

function PipelineTable({ pipelines }: PipelinesData): ReactElement {
  return (
    <Panel title="All pipelines" flush ways={waysOf.pipelines()}>
      <DataTable
        label="Pipelines"
        rows={pipelines}
        rowKey={({ name }) => name}
        columns={[
          {
            name: 'Pipeline',
            wide: true,
            by: ({ name }) => name,
            cell: ({ name, reads, writesTo, lastError }) => (
              <>
                <ThingLink kind="pipeline" id={name} />
                <div className="dim small">
                  <bdi>{reads ?? 'no stream'}</bdi> → <bdi>{writesTo}</bdi>
                </div>
                {lastError !== null && (
                  <div className="small">
                    <span className="dim">Last error, </span>
                    <Moment at={lastError.at} />
                    <span className="dim">: </span>
                    {lastError.text}
                  </div>
                )}
              </>
            ),
          },
          { name: 'State', by: ({ state }) => state, cell: ({ state }) => <StateBadge state={state} /> },
          { name: 'Source', by: ({ source }) => source, cell: ({ source }) => <ThingLink kind="source" id={source} /> },
          {
            name: 'Model',
            by: ({ model }) => model,
            cell: ({ model, version }) => (
              <>
                <ThingLink kind="model" id={model} />
                {version !== null && `@${version}`}
              </>
            ),
          },
          { name: 'Workers', numeric: true, by: ({ workers }) => workers, cell: ({ workers }) => formatNumber(workers, 'count') },
          {
            name: 'Rate',
            numeric: true,
            by: ({ perSecond }) => perSecond,
            cell: ({ perSecond }) => formatNumber(perSecond, 'perSecond'),
          },
          { name: 'Waiting', numeric: true, by: ({ waiting }) => waiting, cell: ({ waiting }) => formatNumber(waiting, 'count') },
          {
            name: 'Oldest',
            numeric: true,
            by: ({ oldestSeconds }) => oldestSeconds,
            cell: ({ oldestSeconds, workers }) => (workers === 0 || oldestSeconds === 0 ? '–' : formatDuration(oldestSeconds)),
          },
          {
            name: 'Dead letters',
            numeric: true,
            by: ({ deadLetters }) => deadLetters,
            cell: ({ deadLetters }) => formatNumber(deadLetters, 'count'),
          },
        ]}
      />
    </Panel>
  )
}
