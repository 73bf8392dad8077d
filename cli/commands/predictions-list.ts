import { LockstepError } from '../../kernel/errors.ts'
import { cutText } from '../../kernel/values/cut-text.ts'
import type { ListedPrediction, PredictionPage } from '../../monitoring/prediction-log/read-predictions.ts'
import { predictionsAnswer } from '../../serving/protocols/http/monitoring/predictions-route.ts'
import { listPredictionPage, maxListedPredictions } from '../../monitoring/prediction-log/read-predictions.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import type { Input } from '../input.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { durationOption } from '../duration-option.ts'
import { moment } from '../text/human.ts'
import { table } from '../text/table.ts'

const defaultLimit = 20
/** Of a cell on a screen. */
const longest = 60

export const predictionsListCommand: Command = {
  name: 'predictions list',
  summary: 'List logged predictions, newest first',
  description: [
    'LOCKSTEP_LOG_PREDICTIONS sets which predictions are logged. --json shows everything that is logged: features, statuses and reads.',
  ],
  arguments: [{ name: 'MODEL', help: 'Only predictions of this model.', takes: 'optional' }],
  options: {
    model: { value: 'MODEL', help: 'The same as the argument MODEL.' },
    request: { value: 'ID', help: 'Only predictions of this request.' },
    prediction: { value: 'ID', help: 'Only the prediction with this id.' },
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 1h.' },
    limit: { value: 'N', help: 'The maximum number. Default: 20.' },
    cursor: { value: 'CURSOR', help: 'List the predictions after a page: its "next" (with --json).' },
    server: serverOption,
  },
  example: 'lockstep predictions list delay --since 10m',
  async run(context, input) {
    const { predictions: rows, next } = await readPage(context, input)
    const onScreen = context.terminal.width !== null
    const shown = (json: unknown): string => cutText(JSON.stringify(json), onScreen ? longest : Number.POSITIVE_INFINITY)
    const lines = rows.map((row) => [
      moment(new Date(row.at)),
      `${row.model}@${row.version}`,
      roleText(row),
      row.requestId,
      shown(row.keys),
      shown(row.outputs),
      `${(row.latencyMicros / 1000).toFixed(1)} ms`,
    ])
    return {
      json: { predictions: rows, next },
      text:
        rows.length === 0
          ? 'No predictions are logged for that time.'
          : table(['AT (UTC)', 'MODEL', 'ROLE', 'REQUEST', 'ENTITY', 'OUTPUTS', 'TOOK'], lines),
    }
  },
}

async function readPage(context: Context, input: Input): Promise<PredictionPage> {
  const [model, requestId, predictionId] = [modelOf(input), input.text('request'), input.text('prediction')]
  const since = input.text('since') ?? '1h'
  const from = Date.now() * 1000 - durationOption('predictions list', 'since', since)
  const limit = input.count('limit', 1, maxListedPredictions) ?? defaultLimit
  const cursor = input.text('cursor')
  const server = serverOf(context, input)
  if (server !== null) {
    const asked = { model, request: requestId, prediction: predictionId, since, limit, cursor }
    const { predictions, next } = await server.ask('GET', `/v1/predictions${queryOf(asked)}`, undefined, predictionsAnswer)
    // the schema says less than what a server of the same version answers
    return { predictions: predictions as unknown as ListedPrediction[], next }
  }
  const page = await listPredictionPage(await context.database(), {
    since: from,
    limit,
    cursor,
    model,
    requestId,
    predictionId,
  })
  // reports a misspelt name as an error, not as an empty list; a model that was deleted may still have predictions
  if (model !== undefined && cursor === undefined && page.predictions.length === 0) (await context.catalog()).model(model)
  return page
}

/** @throws LockstepError `USAGE` if the argument and the option name two models */
function modelOf(input: Input): string | undefined {
  const [argument, option] = [input.arguments('MODEL')[0], input.text('model')]
  if (argument === undefined || option === undefined || argument === option) return argument ?? option
  throw new LockstepError('USAGE', `The argument names the model "${argument}", and --model names "${option}"; name one model.`)
}

/** The variant of an experiment says more than the role. */
function roleText({ role, experiment, variant }: Pick<ListedPrediction, 'role' | 'experiment' | 'variant'>): string {
  return experiment === null ? (role ?? '-') : `${experiment}/${variant ?? ''}`
}
