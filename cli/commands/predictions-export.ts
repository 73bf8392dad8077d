import { formatDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { OutcomeTally } from '../../monitoring/outcomes/exported-outcome.ts'
import type { WantedPredictions, WrittenPredictions } from '../../monitoring/prediction-log/write-predictions.ts'
import { writePredictions } from '../../monitoring/prediction-log/write-predictions.ts'
import { formatOf } from '../../offline/files/dataset-writer.ts'
import { exportedPredictions, exportHeader } from '../../serving/protocols/http/monitoring/predictions-export-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { durationOption } from '../duration-option.ts'
import { bytes, count, counted } from '../text/human.ts'
import { exitCodeOf, ifEmptyOption } from '../if-empty.ts'
import { downloadMade, localPath } from '../remote/download-file.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import type { Server } from '../remote/server.ts'

export const predictionsExportCommand: Command = {
  name: 'predictions export',
  summary: "Write a model's logged predictions to a file, with typed columns",
  description: [
    'The columns are the keys, request values and features of the feature service, the outputs as output__NAME, and _at, _request_id, _prediction_id, _entity, _version and _as_of.',
    'With --outcome, each row also has its outcome, as "quality" counts it: _outcome (the value), _outcome_state (matched, missing or immature), _outcome_at and _outcome_known_at.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: {
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl.', needed: true },
    service: { value: 'SERVICE', help: "The feature service of the predictions, as name@version. Default: the model's current one." },
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 24h.' },
    outcome: { value: 'NAME', help: 'Add the values of this outcome of the model.' },
    labelled: { help: 'With --outcome: only the predictions with a value of it.' },
    'as-of': { value: 'TIME', help: 'With --outcome: use outcomes that were known at this time, for predictions before it. Default: now.' },
    overwrite: { help: 'Replace an existing file.' },
    'if-empty': ifEmptyOption,
    server: serverOption,
  },
  streams: true,
  example: 'lockstep predictions export delay --since 7d --out served.parquet',
  async run(context, input) {
    const out = input.needed('out')
    const [format, overwrite] = [formatOf(out), input.flag('overwrite')]
    const [outcomeName, labelled, asOf] = [input.text('outcome'), input.flag('labelled'), input.time('as-of')]
    const alone = labelled ? '--labelled' : asOf === undefined ? null : '--as-of'
    if (outcomeName === undefined && alone !== null)
      throw new LockstepError('USAGE', `The option "${alone}" is about an outcome; add "--outcome NAME".`)
    const since = durationOption('predictions export', 'since', input.text('since') ?? '24h')
    const model = input.argument('MODEL')
    const server = serverOf(context, input)
    const until = asOf ?? Date.now() * 1000
    const wanted = { model, service: input.text('service'), since: until - since, until, outcome: outcomeName, labelled }
    const { path, ...made } =
      server === null
        ? {
            path: out,
            ...(await writePredictions(await context.database(), await context.catalog(), wanted, {
              path: out,
              format,
              overwrite,
              signal: context.signal,
            })),
          }
        : await download(context, server, wanted, { since, asOf, format, out, overwrite })
    const { model: name, service, outcome, others, ...file } = made
    return {
      ...exitCodeOf(input, file.rows),
      json: { model: name, service, path, ...file, others, ...(outcome === undefined ? {} : { outcome }) },
      text: [
        `Wrote ${counted(file.rows, 'logged prediction')} of ${name}, from ${service}, to ${path} (${bytes(file.bytes)}).`,
        ...(outcome === undefined ? [] : outcomeLines(outcome, `${outcome.name} as of ${outcome.asOf}`, labelled)),
        ...others.map(
          ({ id, rows }) =>
            `note: ${counted(rows, 'logged prediction')} of that time ${rows === 1 ? 'is' : 'are'} from ${id} and not in the file: use --service ${id}`,
        ),
      ].join('\n'),
    }
  },
}

async function download(
  context: Context,
  server: Server,
  { model, service, outcome, labelled }: WantedPredictions,
  { since, asOf, format, out, overwrite }: { since: number; asOf: number | undefined; format: string; out: string; overwrite: boolean },
): Promise<WrittenPredictions & { readonly path: string }> {
  const asked = queryOf({
    model,
    service,
    outcome,
    asOf: asOf === undefined ? undefined : formatTimestamp(asOf),
    since: formatDuration(since),
    format,
    labelled: labelled ? 'true' : undefined,
  })
  const progress = context.terminal.progress(`Exporting the predictions of ${model}`, 'bytes')
  try {
    const wanted = { from: `/v1/predictions/export${asked}`, to: localPath(out), overwrite }
    const { headers, ...file } = await downloadMade(server, wanted, (done) => progress.update(done, null))
    return { path: out, ...exportedPredictions.parse(JSON.parse(headers.get(exportHeader) ?? 'null')), ...file }
  } finally {
    progress.end()
  }
}

function outcomeLines({ labelled, assumed, unlabelled, immature }: OutcomeTally, outcome: string, onlyLabelled: boolean): string[] {
  const declared = assumed === 0 ? '' : `, ${count(assumed)} of them the declared one, because no row came`
  const left = onlyLabelled ? 'not in the file' : 'in the file without a value'
  return [
    `Of ${outcome}: ${count(labelled)} with a value${declared}.`,
    ...(unlabelled + immature === 0 ? [] : [`${count(immature)} not mature yet and ${count(unlabelled)} mature without a value: ${left}.`]),
  ]
}
