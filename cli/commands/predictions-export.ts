import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import type { DatasetWriter } from '../../offline/files/dataset-writer.ts'
import { createDatasetWriter, formatOf } from '../../offline/files/dataset-writer.ts'
import { exportColumns, exportPredictions, otherServices } from '../../monitoring/prediction-log/export-predictions.ts'
import type { OutcomeTally } from '../../monitoring/outcomes/exported-outcome.ts'
import { createOutcomeTally } from '../../monitoring/outcomes/exported-outcome.ts'
import { outcomeOf } from '../../monitoring/quality/quality-report.ts'
import { storedServices } from '../../registry/stored-services.ts'
import type { Command } from '../command.ts'
import { durationOption } from '../duration-option.ts'
import { bytes, count, counted } from '../human.ts'
import { exitCodeOf, ifEmptyOption } from '../if-empty.ts'

export const predictionsExportCommand: Command = {
  name: 'predictions export',
  summary: "Write a model's logged predictions to a file, with typed columns",
  description: [
    'The columns are the keys, request values and features of the feature service, the outputs as output__NAME, and _at, _request_id, _prediction_id, _entity, _version and _as_of.',
    'With --outcome, each row also has what came of it, as quality counts it: _outcome (the value), _outcome_state (matched, missing or immature), _outcome_at and _outcome_known_at.',
  ],
  arguments: [{ name: 'MODEL', help: 'The model.' }],
  options: {
    out: { value: 'FILE', help: 'The file to write: .parquet, .csv or .jsonl.', needed: true },
    service: { value: 'SERVICE', help: "The feature service of the predictions, as name@version. Default: the model's current one." },
    since: { value: 'DURATION', help: 'How far back to look, such as 30m or 7d. Default: 24h.' },
    outcome: { value: 'NAME', help: 'Add what came of each prediction: an outcome of the model.' },
    labelled: { help: 'With --outcome: only the predictions with a value of it.' },
    'as-of': { value: 'TIME', help: 'With --outcome: what was known then, of predictions before it. Default: now.' },
    overwrite: { help: 'Replace an existing file.' },
    'if-empty': ifEmptyOption,
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
    const db = await context.database()
    const model = (await context.catalog()).model(input.argument('MODEL'))
    const { name, spec } = model
    const wanted = input.text('service') ?? spec.service
    const service = [...(await storedServices(db)).values()].find(({ id }) => id === wanted)
    if (service === undefined) {
      throw new LockstepError('UNKNOWN_DEFINITION', `There is no feature service "${wanted}" in the registry; give it as name@version.`, {
        details: { kind: 'feature service', name: wanted },
      })
    }
    const until = asOf ?? Date.now() * 1000
    const logged = { model: name, service, outputs: spec.output, since: until - since, until }
    const plan = outcomeName === undefined ? undefined : outcomeOf(await context.catalog(), model, outcomeName)
    const query = plan === undefined ? logged : { ...logged, outcome: { plan, asOf: until } }
    const columns = exportColumns(query)
    const tally = plan === undefined ? null : createOutcomeTally(columns, labelled)
    let writer: DatasetWriter | null = null
    try {
      const opened = (writer = await createDatasetWriter(out, columns, { format, overwrite }))
      await db.snapshot(async (snapshot) => {
        for await (const batch of exportPredictions(snapshot, query)) {
          context.signal.throwIfAborted()
          await opened.write(tally?.take(batch) ?? batch)
        }
      })
      const file = await opened.close()
      const others = await otherServices(db, query)
      return {
        ...exitCodeOf(input, file.rows),
        json: {
          model: name,
          service: service.id,
          path: out,
          ...file,
          others,
          ...(tally === null ? {} : { outcome: { name: outcomeName, asOf: formatTimestamp(until), ...tally.counts } }),
        },
        text: [
          `Wrote ${counted(file.rows, 'logged prediction')} of ${name}, from ${service.id}, to ${out} (${bytes(file.bytes)}).`,
          ...(tally === null ? [] : outcomeLines(tally.counts, `${outcomeName} as of ${formatTimestamp(until)}`, labelled)),
          ...others.map(
            ({ id, rows }) =>
              `note: ${counted(rows, 'logged prediction')} of that time ${rows === 1 ? 'is' : 'are'} from ${id} and not in the file: use --service ${id}`,
          ),
        ].join('\n'),
      }
    } catch (error) {
      await writer?.abort()
      throw error
    }
  },
}

function outcomeLines({ labelled, assumed, unlabelled, immature }: OutcomeTally, outcome: string, onlyLabelled: boolean): string[] {
  const declared = assumed === 0 ? '' : `, ${count(assumed)} of them the declared one, because no row came`
  const left = onlyLabelled ? 'not in the file' : 'in the file without a value'
  return [
    `Of ${outcome}: ${count(labelled)} with a value${declared}.`,
    ...(unlabelled + immature === 0 ? [] : [`${count(immature)} not mature yet and ${count(unlabelled)} mature without a value: ${left}.`]),
  ]
}
