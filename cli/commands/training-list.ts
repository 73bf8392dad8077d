import { listTrainings } from '../../registry/trainings/read-runs.ts'
import type { Command } from '../command.ts'
import { trainingTable } from '../training-text.ts'

export const trainingListCommand: Command = {
  name: 'training list',
  summary: 'List trainings, each with its last run',
  example: 'lockstep training list',
  async run(context) {
    const [db, catalog] = [await context.database(), await context.catalog()]
    const trainings = await listTrainings(db, catalog, Date.now() * 1000)
    const none = 'There are no trainings. Declare one with training() in the definitions file, and apply it.'
    return { json: { trainings }, text: trainings.length === 0 ? none : trainingTable(trainings) }
  },
}
