import { listTrainings, readTrainingRuns } from '../../registry/trainings/read-runs.ts'
import { requirementText, deployText } from '../../registry/trainings/training-text.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { maxListedJobs } from '../../runtime/jobs/read-jobs.ts'
import type { Command } from '../command.ts'
import { runTable, runText } from '../training-text.ts'

const shownLogLines = 20

export const trainingShowCommand: Command = {
  name: 'training show',
  summary: 'Show a training, what its last run did, and the runs before',
  arguments: [{ name: 'NAME', help: 'The training.' }],
  options: { limit: { value: 'N', help: 'The maximum number of runs. Default: 10.' } },
  example: 'lockstep training show fraud_weekly',
  async run(context, input) {
    const [db, catalog] = [await context.database(), await context.catalog()]
    const name = input.argument('NAME')
    const { spec } = catalog.training(name)
    const runs = await readTrainingRuns(db, name, input.count('limit', 1, maxListedJobs))
    const [listed] = await listTrainings(db, { trainings: new Map([[name, catalog.training(name)]]) }, Date.now() * 1000)
    const [last] = runs
    const rows = `${formatDuration(spec.windowMicros)}, of which the last ${formatDuration(spec.testMicros)} are the test${spec.matureMicros === 0 ? '' : `, until ${formatDuration(spec.matureMicros)} before the run`}`
    return {
      json: { name, next: listed?.next ?? null, definition: spec, runs },
      text: [
        `The training ${name} of the model ${spec.model}, by the trainer ${spec.trainer}.`,
        `Rows: ${rows}. Label: ${spec.label}.`,
        ...(spec.require.length === 0 ? [] : [`Requires ${spec.require.map(requirementText).join(', ')}.`]),
        `A run ${deployText(spec.deploy)}.`,
        listed?.next === undefined || listed.next === null
          ? `It has no schedule: lockstep training run ${name}`
          : `Next run: ${listed.next}, by ${spec.schedule} (UTC).`,
        ...(last === undefined ? ['', 'It has not run yet.'] : ['', runText(last, shownLogLines), '', runTable(runs)]),
      ].join('\n'),
    }
  },
}
