import type { TrainingListJson } from '../../registry/trainings/read-runs.ts'
import { listTrainings } from '../../registry/trainings/read-runs.ts'
import { trainingsAnswer } from '../../serving/protocols/http/jobs/trainings-route.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { trainingTable } from '../text/training-text.ts'

export const trainingListCommand: Command = {
  name: 'training list',
  summary: 'List trainings, each with its last run',
  options: { server: serverOption },
  example: 'lockstep training list',
  async run(context, input) {
    const server = serverOf(context, input)
    const trainings: readonly TrainingListJson[] =
      server === null
        ? await listTrainings(await context.database(), await context.catalog(), Date.now() * 1000)
        : (await server.ask('GET', '/v1/trainings', undefined, trainingsAnswer)).trainings
    const none = 'There are no trainings. Declare one with training() in the definitions file, and apply it.'
    return { json: { trainings }, text: trainings.length === 0 ? none : trainingTable(trainings) }
  },
}
