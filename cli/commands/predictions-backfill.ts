import { defined } from '../../kernel/defined.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import { backfillPredictions } from '../../serving/predict/backfill-predictions.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { counted, duration } from '../text/human.ts'
import { createJoinProgress, heldBackNotes } from '../join-progress.ts'
import { spineInput } from '../spine-option.ts'

export const predictionsBackfillCommand: Command = {
  name: 'predictions backfill',
  summary: 'Predict past rows, and log them as if a server had answered them then',
  description: [
    'Predicts each row of the spine as of its own time, like "predict". Writes the predictions to the prediction log, the statistics of the model, and its quality and drift of each day, with the role "backfill".',
    'A repeated run replaces the predictions of an earlier run for the same version and hours.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: {
    spine: { value: 'FILE|SQL', help: 'The rows to predict for.', needed: true },
    version: { value: 'N', help: 'The version of the model. Default: the champion, or the newest version if there is none.' },
    time: { value: 'COLUMN', help: "The spine's time column, if it has several." },
    id: { value: 'COLUMN', help: "The spine's column with the id of each prediction. Default: they get new ids." },
    shift: {
      value: 'DURATION',
      help: 'Log each prediction with a time that is later by this duration, so that old rows look like recent ones.',
    },
    reason: reasonOption,
  },
  example: `lockstep predictions backfill delay --spine "select * from flights where date > now() - interval '30 days'"`,
  async run(context, input) {
    const started = performance.now()
    const named = parseModelReference(input.argument('MODEL'))
    const version = input.count('version', 1) ?? named.version
    const [time, id, shift] = [input.text('time'), input.text('id'), input.text('shift')]
    const bar = createJoinProgress(context.terminal, { join: 'Joining the features', write: 'Predicting' })
    try {
      const summary = await backfillPredictions(await context.database(), await context.catalog(), context.config, {
        model: named.model,
        spine: spineInput(input.needed('spine')),
        now: Date.now() * 1000,
        by: actorOf(input),
        signal: context.signal,
        log: context.log,
        onProgress: (progress) => bar.update(progress),
        ...defined({ version, time, id }),
        ...(shift === undefined ? {} : { shiftMicros: durationOption('predictions backfill', 'shift', shift) }),
      })
      bar.end()
      const { logged, refused, outside, window, figures } = summary
      const [from, to] = window === null ? [null, null] : [formatTimestamp(window.from), formatTimestamp(window.to)]
      const model = `${summary.version.model}@${summary.version.version}`
      return {
        json: { model: summary.version.model, version: summary.version.version, logged, refused, outside, from, to, figures },
        text: [
          `Logged ${counted(logged, 'prediction')} of ${model}${from === null ? '' : `, from ${from} to ${to}`}, in ${duration(performance.now() - started)}.`,
          ...(figures > 0 ? [`Stored ${counted(figures, 'report')} of quality and drift, one of each for each day.`] : []),
          ...(figures === 0 && logged > 0
            ? ['note: no quality and no drift is stored: the model has no outcome, and the version no baseline']
            : []),
          ...(refused > 0 ? [`note: ${counted(refused, 'row')} left out, because a key or a required feature is missing`] : []),
          ...(outside > 0
            ? [
                `note: ${counted(outside, 'row')} left out: the log keeps ${context.config.logRetentionDays} days (LOCKSTEP_LOG_RETENTION_DAYS), and takes no future rows`,
              ]
            : []),
          ...heldBackNotes(summary.heldBackRows),
        ].join('\n'),
      }
    } finally {
      bar.end()
    }
  },
}
