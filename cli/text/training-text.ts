import type { TrainingListJson, TrainingRunJson } from '../../registry/trainings/read-runs.ts'
import { doingText, waitText } from '../../registry/trainings/training-text.ts'
import { ago, count, duration, firstMetrics, metricsText } from './human.ts'
import { table } from './table.ts'

export function trainingTable(trainings: readonly TrainingListJson[]): string {
  return table(
    ['NAME', 'MODEL', 'TRAINER', 'NEXT', 'LAST RUN', 'VERSION', 'METRICS'],
    trainings.map(({ name, model, trainer, next, last }) => [
      name,
      model,
      trainer,
      next ?? 'when asked to',
      last === null ? 'never' : `${stateOf(last)} ${ago(Date.now() - Date.parse(last.submittedAt))}`,
      last?.version === null || last === null ? '' : String(last.version),
      last === null ? '' : firstMetrics(last.metrics),
    ]),
  )
}

export function runTable(runs: readonly TrainingRunJson[]): string {
  return table(
    ['JOB', 'AT', 'STATE', 'TRAIN', 'TEST', 'VERSION', 'METRICS'],
    runs.map((run) => [
      String(run.job),
      run.at ?? '',
      stateOf(run),
      run.rows === null ? '' : count(run.rows.train),
      run.rows === null ? '' : count(run.rows.test),
      run.version === null ? '' : String(run.version),
      firstMetrics(run.metrics),
    ]),
  )
}

/** A run, and what to do where it did not end well. */
export function runText(run: TrainingRunJson, logLines = 0): string {
  const { training, model, job, rows, from, split, to, dataset, seconds, version } = run
  const logged = run.log.trimEnd().split('\n').slice(-logLines)
  return [
    `Run ${job} of the training ${training}: ${stateOf(run)}.`,
    ...(run.state === 'waiting' ? [waitText(run)] : []),
    ...(run.doing === null ? [] : [doingText(run.doing)]),
    ...(from === null ? [] : [`Rows of ${from} to ${split} to train on, to ${to} to test on.`]),
    ...(rows === null ? [] : [`${count(rows.train)} rows to train on, ${count(rows.test)} to test on, in the training set ${dataset}.`]),
    ...(Object.keys(run.metrics).length === 0 ? [] : [`Metrics: ${metricsText(run.metrics)}.`]),
    ...evaluationLines(run),
    ...run.decisions.map(({ holds, text }) => `${holds ? 'met' : 'NOT met'}: ${text}.`),
    ...(version === null ? [] : [`${run.known ? 'The file already was' : 'Registered'} ${model}@${version}.`]),
    ...(run.outcome === 'refused' ? ['Nothing was registered.'] : []),
    ...(run.deployed === null ? [] : [`It ${run.deployed}.`]),
    ...(seconds === null
      ? []
      : [`${duration(seconds.dataset * 1000)} for the training set, ${duration(seconds.trainer * 1000)} for the trainer.`]),
    ...(run.error === null || run.state === 'waiting' ? [] : [`Failed: ${run.error.code}: ${run.error.message}`]),
    ...(logLines === 0 || run.log === '' ? [] : ['', 'The end of what the trainer wrote:', ...logged.map((line) => `  ${line}`)]),
  ].join('\n')
}

function evaluationLines({ model, evaluation }: TrainingRunJson): string[] {
  if (evaluation === null) return []
  const { champion, championFigures, notes } = evaluation
  const values = Object.fromEntries(Object.entries(championFigures).map(([name, { value }]) => [name, value]))
  const compared = Object.keys(values).length === 0 ? [] : [`The champion ${model}@${champion} on the same rows: ${metricsText(values)}.`]
  return [...compared, ...notes.map((note) => `note: ${note}`)]
}

function stateOf({ state, outcome }: TrainingRunJson): string {
  return state === 'done' && outcome !== null ? outcome : state
}
