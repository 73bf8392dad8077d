import type { QualityReport } from '../../monitoring/quality/quality-report.ts'
import { qualityReport } from '../../monitoring/quality/quality-report.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { qualityAnswer } from '../../serving/protocols/http/monitoring/quality-schemas.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { qualityText } from '../text/quality-text.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const defaultSince = '7d'

export const qualityCommand: Command = {
  name: 'quality',
  summary: 'Compare logged predictions with their outcomes',
  description: [
    'Takes predictions from the prediction log (LOCKSTEP_LOG_PREDICTIONS) and their outcomes. Only mature predictions count: those whose time for an outcome has passed. Each figure has a 95 % interval.',
    'A yes-or-no outcome gives AUC, log loss, Brier score, accuracy, precision, recall, F1 and calibration; a number gives RMSE, MAE and bias; a class gives accuracy. For predictions that are not mature yet, the figures of a classifier are estimated from its scores.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: {
    outcome: { value: 'NAME', help: 'The outcome. Needed only if several judge the model.' },
    since: { value: 'DURATION', help: `How far back to look, such as 24h or 30d. Default: ${defaultSince}.` },
    by: {
      value: 'LIST',
      help: 'Splits the figures: version, role, day, declared slices, key columns, features; amount:10|100 gives the bins of a number.',
    },
    'as-of': { value: 'TIME', help: 'The figures as they were at this time, as in 2026-03-01T12:00:00Z. Default: now.' },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep quality delay --since 7d --by version,airport',
  async run(context, input) {
    const model = input.argument('MODEL')
    const [outcome, since, by, asOfText] = [
      input.text('outcome'),
      input.text('since') ?? defaultSince,
      input.text('by'),
      input.text('as-of'),
    ]
    const sinceMicros = durationOption('quality', 'since', since)
    const asOf = asOfText === undefined ? Date.now() * 1000 : parseTimestamp(asOfText)
    const server = serverOf(context, input)
    if (server !== null) {
      const query = queryOf({ since, outcome, by, asOf: asOfText })
      return shown(await server.ask('GET', `/v1/models/${encodeURIComponent(model)}/quality${query}`, undefined, qualityAnswer))
    }
    const catalog = await context.catalog()
    const progress = context.terminal.progress(`Judging predictions of ${model}`, 'predictions')
    try {
      const report = await qualityReport(await context.database(), catalog, {
        model,
        outcome,
        from: asOf - sinceMicros,
        to: asOf,
        asOf,
        by: by?.split(',').filter((each) => each !== '') ?? [],
        signal: context.signal,
        onProgress: (rows) => progress.update(rows, null),
      })
      return shown(report)
    } finally {
      progress.end()
    }
  },
}

function shown(report: QualityReport) {
  return { json: report, text: qualityText(report) }
}
