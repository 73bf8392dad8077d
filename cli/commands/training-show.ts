import { nextInstant, readTrainingRuns } from '../../registry/trainings/read-runs.ts'
import { deployText, requirementText, rowsText } from '../../registry/trainings/training-text.ts'
import { trainingSpec } from '../../registry/trainings/training-spec.ts'
import { maxListedRuns, trainingAnswer } from '../../serving/protocols/http/jobs/trainings-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { queryOf, type Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { runTable, runText } from '../text/training-text.ts'

const shownLogLines = 20

export const trainingShowCommand: Command = {
  name: 'training show',
  summary: 'Show a training, its last run and earlier runs',
  arguments: [{ name: 'NAME', help: 'The training.' }],
  options: { limit: { value: 'N', help: 'The maximum number of runs. Default: 10.' }, server: serverOption },
  example: 'lockstep training show fraud_weekly',
  async run(context, input) {
    const [name, limit, server] = [input.argument('NAME'), input.count('limit', 1, maxListedRuns), serverOf(context, input)]
    const { spec, next, runs } = server === null ? await readHere(context, name, limit) : await readThere(server, name, limit)
    const [last] = runs
    return {
      json: { name, next, definition: spec, runs },
      text: [
        `The training ${name} of the model ${spec.model}, by the trainer ${spec.trainer}.`,
        `Rows: ${rowsText(spec)}. Label: ${spec.label}.`,
        ...(spec.require.length === 0 ? [] : [`Requires ${spec.require.map(requirementText).join(', ')}.`]),
        `A run ${deployText(spec.deploy)}.`,
        next === null ? `It has no schedule: lockstep training run ${name}` : `Next run: ${next}, by ${spec.schedule} (UTC).`,
        ...(last === undefined ? ['', 'It has not run yet.'] : ['', runText(last, shownLogLines), '', runTable(runs)]),
      ].join('\n'),
    }
  },
}

async function readHere(context: Context, name: string, limit: number | undefined) {
  const [db, catalog] = [await context.database(), await context.catalog()]
  const { spec } = catalog.training(name)
  return { spec, next: nextInstant(spec, Date.now() * 1000), runs: await readTrainingRuns(db, name, limit) }
}

async function readThere(server: Server, name: string, limit: number | undefined) {
  const path = `/v1/trainings/${encodeURIComponent(name)}${queryOf({ limit })}`
  const { definition, next, runs } = await server.ask('GET', path, undefined, trainingAnswer)
  return { spec: trainingSpec.parse(definition), next, runs }
}
