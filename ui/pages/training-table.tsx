import type { ReactElement } from 'react'
import type { TrainingsData } from '../../serving/dashboard/contract/trainings.ts'
import { DataTable } from '../parts/data-table.tsx'
import { metricsText } from '../parts/metrics-text.ts'
import { Moment } from '../parts/moment.tsx'
import { StateBadge } from '../parts/state-badge.tsx'
import { ThingLink } from '../parts/thing-link.tsx'

interface TrainingTableProps extends TrainingsData {
  /** Whether all are of the model that the page shows. */
  readonly ofModel?: boolean
}

/** Trainings, each with its last run and what that made. */
export function TrainingTable({ trainings, ofModel = false }: TrainingTableProps): ReactElement {
  return (
    <DataTable
      label={ofModel ? 'Trainings of the model' : 'Trainings'}
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
        ...(ofModel
          ? []
          : [
              {
                name: 'Model',
                by: ({ model }: TrainingsData['trainings'][number]) => model,
                cell: ({ model }: TrainingsData['trainings'][number]) => <ThingLink kind="model" id={model} />,
              },
            ]),
        {
          name: 'Last run',
          by: ({ last }) => last?.state ?? null,
          cell: ({ last }) =>
            last === null ? (
              <span className="dim">never</span>
            ) : (
              <>
                <StateBadge state={last.state} />
                <div className="small">
                  <ThingLink kind="job" id={last.job}>
                    job {last.job}
                  </ThingLink>
                </div>
              </>
            ),
        },
        { name: 'Began', by: ({ last }) => last?.submittedAt ?? null, cell: ({ last }) => <Moment at={last?.submittedAt ?? null} /> },
        { name: 'Version', numeric: true, by: ({ last }) => last?.version ?? null, cell: ({ last }) => last?.version ?? '–' },
        { name: 'Metrics', wide: true, cell: ({ last }) => <span className="break">{metricsText(last?.metrics ?? [])}</span> },
        {
          name: 'Next',
          by: ({ next }) => next,
          cell: ({ next }) => (next === null ? <span className="dim">when asked to</span> : <Moment at={next} />),
        },
      ]}
    />
  )
}
