import type { ReactElement } from 'react'
import type { TrainingsData } from '../../serving/dashboard/contract/trainings.ts'
import { readEveryMs } from '../api/read-every.ts'
import { useRead } from '../api/use-read.ts'
import { Page } from '../parts/page.tsx'
import { Panel } from '../parts/panel.tsx'
import { Empty, Loaded } from '../parts/states.tsx'
import { waysOf } from '../parts/ways.ts'
import { TrainingTable } from './training-table.tsx'

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
            <Panel title="All trainings" flush ways={waysOf.trainings()}>
              <TrainingTable trainings={data.trainings} />
            </Panel>
          )
        }
      </Loaded>
    </Page>
  )
}
