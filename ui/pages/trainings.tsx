import type { ReactElement } from 'react'
import type { TrainingsData } from '../../serving/dashboard/contract/trainings.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { StateBadge } from '../parts/state-badge.tsx'
import { DataTable } from '../parts/data-table.tsx'
import { metricsText } from '../parts/metrics-text.ts'
import { Moment } from '../parts/moment.tsx'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { ThingLink } from '../parts/thing-link.tsx'
import { waysOf } from '../parts/ways.ts'

/** All trainings: what each last did, and when it runs next. */
export default function Trainings(): ReactElement {
  const trainings = useRead<TrainingsData>('trainings', { everyMs: readEveryMs.jobs })
  return (
    <Page title="Trainings" says="Each writes a training set, runs a trainer, and registers a version if it is good enough.">
      <Loaded of={trainings}>
        {(data) =>
          data.trainings.length === 0 ? (
            <Empty title="There is no training yet" commands={['lockstep apply features.ts', 'lockstep training list']}>
              A training is a definition: training('weekly', {'{ model, spine, label, trainer, schedule, … }'}). Workers run it.
            </Empty>
          ) : (
            <TrainingTable trainings={data.trainings} />
          )
        }
      </Loaded>
    </Page>
  )
}

function TrainingTable({ trainings }: TrainingsData): ReactElement {
  return (
    <Panel title="All trainings" flush ways={waysOf.trainings()}>
      <DataTable
        label="Trainings"
        rows={trainings}
        rowKey={({ name }) => name}
        columns={[
          {
            name: 'Training',
            wide: true,
            by: ({ name }) => name,
            cell: ({ name, description, last }) => (
              <>
                <ThingLink kind="training" id={name} />
                {description !== null && <div className="dim small">{description}</div>}
                {last !== null && last.says !== null && <div className="small break">{last.says}</div>}
              </>
            ),
          },
          { name: 'Model', by: ({ model }) => model, cell: ({ model }) => <ThingLink kind="model" id={model} /> },
          {
            name: 'Last run',
            by: ({ last }) => last?.state ?? null,
            cell: ({ last }) => (last === null ? <span className="dim">never</span> : <StateBadge state={last.state} />),
          },
          { name: 'Began', by: ({ last }) => last?.submittedAt ?? null, cell: ({ last }) => <Moment at={last?.submittedAt ?? null} /> },
          {
            name: 'Version',
            numeric: true,
            by: ({ last }) => last?.version ?? null,
            cell: ({ last }) => last?.version ?? '–',
          },
          { name: 'Metrics', wide: true, cell: ({ last }) => <span className="break">{metricsText(last?.metrics ?? [])}</span> },
          {
            name: 'Next',
            by: ({ next }) => next,
            cell: ({ next }) => (next === null ? <span className="dim">when asked to</span> : <Moment at={next} />),
          },
        ]}
      />
    </Panel>
  )
}
